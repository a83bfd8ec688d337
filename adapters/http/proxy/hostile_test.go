package proxy_test

import (
	"bufio"
	"context"
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
