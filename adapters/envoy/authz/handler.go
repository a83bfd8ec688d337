package authz

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"strings"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision"
)

// Prefix is where Handler stands: what follows it is the caller's path.
const Prefix = "/envoy/authz"

// headerRemove is how this variant tells Envoy which headers go no further.
const headerRemove = "x-envoy-auth-headers-to-remove"

// ofTheFilter are headers that the filter adds for us, and no caller's.
var ofTheFilter = []string{"x-signalbox-gateway-token", envoy.HeaderProfile}

// Handler answers the HTTP variant of ext_authz, for gateways that have no other: the
// question is the caller's request itself, under Prefix, and 200 lets it through. An
// answer of HTTP can change neither the path nor the body's type: the routes behind it
// write the path, by the deployment's name. Envoy takes an answer of 5xx for an error,
// for which its failure mode holds, our refusals of 503 among them.
func (a *Authorizer) Handler() http.Handler { return http.HandlerFunc(a.serve) }

func (a *Authorizer) serve(w http.ResponseWriter, r *http.Request) {
	began, how := a.Now(), Unknown
	defer func() { a.Observe.Checked(how, a.Now().Sub(began)) }()
	gateway, p := a.admitHTTP(r)
	if p != nil {
		http.Error(w, p.Error(), http.StatusServiceUnavailable)
		return
	}
	v := a.checkHTTP(r, gateway)
	how = v.how
	v.write(w)
}

func (a *Authorizer) admitHTTP(r *http.Request) (string, *door.Problem) {
	if a.AdmitHTTP == nil {
		return "", &door.Problem{Kind: door.UnknownGateway, Message: "no gateway is let in here"}
	}
	return a.AdmitHTTP(r)
}

// checkHTTP reads the question and answers it.
func (a *Authorizer) checkHTTP(r *http.Request, gateway string) verdict {
	headers := lowerFirst(r.Header)
	path, ok := strings.CutPrefix(r.RequestURI, Prefix)
	if !ok {
		return failed(door.Failed{Status: 400, Code: string(decision.Malformed), Message: "want the caller's path behind " + Prefix})
	}
	body, held, err := a.readBody(r, headers)
	defer a.release(held)
	if err != nil {
		return failed(door.Failed{Status: 503, Code: door.Overloaded, RetryAfter: soon, Message: "the call could not be read in time; try again"})
	}
	if body == nil && r.ContentLength != 0 {
		headers[headerPartial] = "true" // it is there, and was not read
	}
	if why := envoy.KeyInPath(path); why != "" {
		return failed(door.Failed{Status: 400, Code: string(decision.Malformed), Message: why})
	}
	q, p := a.question(r.Method, path, headers, body, gateway, envoy.ProfileHeader)
	if p == nil && len(body) > 0 && !isJSON(headers["content-type"]) {
		p = &door.Problem{Kind: door.BadEnvelope, Where: "content-type",
			Message: "want application/json in UTF-8: this gateway cannot say so itself, and a provider might read another body than the one that was judged"}
	}
	return a.answer(r.Context(), &q, p)
}

// lowerFirst are a request's headers as the decision reads them: names in lower case,
// of a repeated one the first.
func lowerFirst(h http.Header) map[string]string {
	headers := make(map[string]string, len(h))
	for name, values := range h {
		if len(values) > 0 {
			headers[strings.ToLower(name)] = values[0]
		}
	}
	for _, name := range ofTheFilter {
		delete(headers, name)
	}
	return headers
}

// readBody reads the body if its sender's key is worth the memory, and says how much of
// it is held. A body that is too long is not read: the decision says so.
func (a *Authorizer) readBody(r *http.Request, headers map[string]string) (body []byte, held int64, err error) {
	if r.ContentLength == 0 || r.ContentLength > a.Limits.Body || a.Keys != nil && !a.Keys.Knows(headers) {
		return nil, 0, nil
	}
	most := a.Limits.Body
	if r.ContentLength > 0 {
		most = r.ContentLength
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.Limits.Decide)
	defer cancel()
	if a.Memory != nil {
		if err := a.Memory.Acquire(ctx, most); err != nil {
			return nil, 0, err
		}
		held = most
	}
	var b bytes.Buffer
	_, err = b.ReadFrom(io.LimitReader(r.Body, most+1))
	if err == nil && int64(b.Len()) > most {
		return nil, held, nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, held, err
	}
	return b.Bytes(), held, nil
}

func (a *Authorizer) release(held int64) {
	if held > 0 {
		a.Memory.Release(held)
	}
}

// isJSON reports whether a server must read a body of this type as we do.
func isJSON(contentType string) bool {
	kind, with, err := mime.ParseMediaType(contentType)
	return err == nil && kind == "application/json" && (with["charset"] == "" || strings.EqualFold(with["charset"], "utf-8"))
}

// write spells a verdict for the HTTP variant.
func (v *verdict) write(w http.ResponseWriter) {
	if v.denied != nil || v.call == nil {
		r := v.reply()
		put(w.Header(), r.Headers)
		w.WriteHeader(refusing(r.Status))
		// A write fails when Envoy has gone, and then there is nobody to tell.
		_, _ = w.Write(r.Bytes())
		return
	}
	headers := maps.Clone(v.out.Set)
	delete(headers, ":path")
	put(w.Header(), headers)
	put(w.Header(), v.caller)
	if call, err := v.call.Header(); err == nil { // of strings and numbers, which always marshal
		w.Header().Set(envoy.HeaderCall, call)
	}
	w.Header().Set(headerRemove, strings.Join(v.out.Remove, ","))
	w.WriteHeader(http.StatusOK)
}

// refusing is a status that lets nothing through. Envoy takes 200, and 200 alone, for
// leave to send the call on: an answer of ours would pass it unmetered, with its
// caller's key. 203 is a success that somebody in between has written, which is so.
func refusing(status int) int {
	if status == http.StatusOK {
		return http.StatusNonAuthoritativeInfo
	}
	return status
}

func put(to http.Header, headers map[string]string) {
	for name, value := range headers {
		to.Set(name, value)
	}
}
