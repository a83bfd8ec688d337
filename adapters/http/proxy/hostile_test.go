package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// wire is a provider that reads a call whole and answers with these bytes, whatever
// HTTP says of them; then it keeps the connection until the other side lets go of it.
func wire(t *testing.T, answer string) *house {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				from := bufio.NewReader(conn)
				r, err := http.ReadRequest(from)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(conn, answer)
				_, _ = io.Copy(io.Discard, from)
			}()
		}
	}()
	return build(t, nil, func(h *house) {
		h.place("http://"+l.Addr().String()+"/v1", "d1")
		h.decider.answer = h.allow()
	})
}

// A provider that says it goes on in another protocol is no answer, and net/http
// leaves its connection to us, whose end no context brings. The call ends all the same.
func TestAProviderThatSwitchesProtocols(t *testing.T) {
	h := wire(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	resp, err := h.wire.RoundTrip(h.request(chat, ask).WithContext(ctx))
	if err != nil {
		t.Fatalf("the call did not end: %v", err)
	}
	defer resp.Body.Close()
	if r := h.report(); resp.StatusCode != 502 || r.Outcome != journal.OutcomeNotSent {
		t.Errorf("%d, reported %+v", resp.StatusCode, r)
	}
}

// What a provider writes in the place of HTTP may be anything, the call and its
// credential included. The operators' log says what kind of thing went wrong, and
// none of it.
func TestTheLogHoldsNothingAProviderWrote(t *testing.T) {
	for name, answer := range map[string]string{
		"no HTTP":           "authorization: Bearer " + secret + " the prompt\r\n\r\n",
		"no status":         "HTTP/1.1 the prompt " + secret + "\r\n\r\n",
		"no header":         "HTTP/1.1 200 OK\r\nthe prompt " + secret + "\r\n\r\n",
		"no length":         "HTTP/1.1 200 OK\r\nContent-Length: the prompt " + secret + "\r\n\r\n",
		"an unknown coding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: the prompt " + secret + "\r\n\r\n",
		"a trailer":         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nthe prompt " + secret + "\r\n\r\n",
		"two lengths":       "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: the prompt " + secret + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			h := wire(t, answer)
			if resp, err := h.wire.RoundTrip(h.request(chat, ask)); err == nil { // else the answer broke off
				_ = resp.Body.Close()
			}
			h.report()
			if log := h.log.String(); strings.Contains(log, "the prompt") || strings.Contains(log, secret) || !strings.Contains(log, "d1") {
				t.Errorf("logged %s", log)
			}
		})
	}
}

// A call that can be read in two ways is not read at all, and one that is cut short is
// nobody's: neither is decided, sent or paid for, and nothing behind it is taken for a
// call of its own.
func TestCallsThatCanBeReadInTwoWays(t *testing.T) {
	const head = "POST " + chat + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + callerKey + "\r\n"
	hidden := head + "Content-Length: 2\r\n\r\n{}"
	for name, call := range map[string]string{
		"two lengths":                head + "Content-Length: 2\r\nContent-Length: 4\r\n\r\n{}" + hidden,
		"a length with a sign":       head + "Content-Length: +2\r\n\r\n{}" + hidden,
		"chunks under another name":  head + "Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + hidden,
		"chunks twice":               head + "Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + hidden,
		"a length that is no number": head + "Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n" + hidden,
		"a space before the colon":   head + "Content-Length : 2\r\n\r\n{}" + hidden,
		"a line that goes on":        head + "X-A: b\r\n\tX-Api-Key: c\r\nContent-Length: nothing\r\n\r\n" + hidden,
		"cut short":                  head + "Content-Length: 50\r\n\r\n{}",
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, []http.HandlerFunc{func(http.ResponseWriter, *http.Request) { t.Error("it was sent") }})
			conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, call); err != nil {
				t.Fatal(err)
			}
			_ = conn.(*net.TCPConn).CloseWrite()
			answers, _ := io.ReadAll(conn)
			if n := strings.Count(string(answers), "HTTP/1.1 "); n > 1 || n == 1 && !strings.HasPrefix(string(answers), "HTTP/1.1 4") && !strings.HasPrefix(string(answers), "HTTP/1.1 501") {
				t.Errorf("answered %q", answers)
			}
			h.decider.mu.Lock()
			defer h.decider.mu.Unlock()
			if len(h.decider.asked) > 0 {
				t.Errorf("was decided: %+v", h.decider.asked)
			}
		})
	}
}

// A length and chunks at once are chunks (RFC 9112, 6.3), to us and to the provider.
func TestALengthBesideChunks(t *testing.T) {
	var got string
	h := build(t, []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		all, _ := io.ReadAll(r.Body)
		got = string(all)
		says(200, answerJSON)(w, r)
	}})
	conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "POST "+chat+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "+callerKey+"\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"+
		fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(ask), ask))
	if answers, _ := io.ReadAll(conn); strings.Count(string(answers), "HTTP/1.1 200") != 1 {
		t.Errorf("answered %q", answers)
	}
	h.report()
	if got != strings.Replace(ask, `"gpt"`, `"up-d1"`, 1) {
		t.Errorf("sent %q", got)
	}
}

// Keys in many places, two of them good, and in the query: none reaches the provider,
// and what the query says has no say.
func TestKeysEverywhere(t *testing.T) {
	h := build(t, []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		if seen := fmt.Sprint(r.RequestURI, r.Header); strings.Contains(seen, "sbx_") || strings.Contains(seen, "dummy") {
			t.Errorf("the provider was sent %s", seen)
		}
		says(200, answerJSON)(w, r)
	}})
	resp, body, err := h.post(chat+"?key="+callerKey+"&api-key="+callerKey+"&api-version=2024-10-21&beta=true&beta="+callerKey, ask,
		"x-api-key", "sbx_another", "API-KEY", "dummy", "ocp-apim-subscription-key", "dummy", "X_Api_Key", callerKey, "Referer", "https://x/?k="+callerKey)
	if err != nil || resp.StatusCode != 200 || strings.Contains(body+fmt.Sprint(resp.Header), "sbx_") {
		t.Errorf("%v %d %v %s", err, resp.StatusCode, resp.Header, body)
	}
	h.report()
}
