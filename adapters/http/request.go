package http

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/signalbox-dev/signalbox/adapters/door"
)

// envelope is the question as it is spelt in JSON.
type envelope struct {
	CallID  string         `json:"call_id"`
	Request *callerRequest `json:"request"`
	Gateway string         `json:"gateway"`
}

type callerRequest struct {
	Method       string            `json:"method"`
	Path         string            `json:"path"`
	Headers      map[string]string `json:"headers"`
	Body         *string           `json:"body"`
	BodyBase64   *[]byte           `json:"body_base64"`
	BodyComplete *bool             `json:"body_complete"`
}

// parseQuestion reads POST /v1/decide's body.
func parseQuestion(document []byte) (door.Question, *door.Problem) {
	var e envelope
	if p := readStrict(document, &e); p != nil {
		return door.Question{}, p
	}
	if e.Request == nil {
		return door.Question{}, badEnvelope("request", "want the caller's request: method, path, headers, body")
	}
	if e.Request.Body != nil && e.Request.BodyBase64 != nil {
		return door.Question{}, badEnvelope("request.body_base64", "send body or body_base64, not both")
	}
	q := door.Question{
		CallID: e.CallID, Gateway: e.Gateway, Method: e.Request.Method, Path: e.Request.Path,
		Headers: e.Request.Headers, BodyComplete: e.Request.BodyComplete,
	}
	switch {
	case e.Request.Body != nil:
		q.Body = []byte(*e.Request.Body)
	case e.Request.BodyBase64 != nil:
		q.Body = *e.Request.BodyBase64
	}
	return q, nil
}

// parseReport reads POST /v1/report's body.
func parseReport(document []byte) (door.Report, *door.Problem) {
	var r door.Report
	p := readStrict(document, &r)
	return r, p
}

// readBody reads a request's body up to a bound.
func readBody(w http.ResponseWriter, r *http.Request, bound int64) ([]byte, *door.Problem) {
	if p := checkContentType(r); p != nil {
		return nil, p
	}
	// The announced length is a hint and no promise; never more than the bound is
	// set aside for it.
	into := make([]byte, 0, min(max(r.ContentLength, 512), bound)+1)
	body := http.MaxBytesReader(w, r.Body, bound)
	for {
		n, err := body.Read(into[len(into):cap(into)])
		into = into[:len(into)+n]
		switch {
		case err == io.EOF:
			return into, nil
		case err != nil:
			return nil, bodyProblem(err, bound)
		case len(into) == cap(into):
			into = append(into, 0)[:len(into)]
		}
	}
}

func bodyProblem(err error, bound int64) *door.Problem {
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return &door.Problem{Kind: door.TooLarge, Message: "at most " + itoa(bound) + " bytes are read; text with many escapes is shorter as body_base64"}
	}
	return &door.Problem{Kind: door.BadEnvelope, Message: "the body broke off", Cause: err}
}

// checkContentType wants JSON, unencoded. A form's content type is refused even
// though what it carries may be JSON: pages of other sites may send forms
// without asking.
func checkContentType(r *http.Request) *door.Problem {
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return &door.Problem{Kind: door.WrongType, Where: "content-encoding", Message: "send the JSON as it is, not compressed"}
	}
	given := r.Header.Get("Content-Type")
	if given == "" {
		return nil
	}
	media, _, err := mime.ParseMediaType(given)
	if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
		return &door.Problem{Kind: door.WrongType, Where: "content-type", Message: "want application/json (curl: -H 'content-type: application/json')"}
	}
	return nil
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
