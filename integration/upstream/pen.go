package upstream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
)

// pen writes an event stream, as far as the steering lets it.
type pen struct {
	w      http.ResponseWriter
	rc     *http.ResponseController
	steer  *steer
	chunks int
}

// event writes one event; name is empty where the dialect names none.
func (p *pen) event(name string, data []byte) error {
	switch {
	case p.chunks == p.steer.cut:
		return errCut
	case p.chunks == p.steer.fault:
		return errFault
	}
	p.chunks++
	return p.put(name, data)
}

// put writes one event whatever the steering says.
func (p *pen) put(name string, data []byte) error {
	if name != "" {
		name = "event: " + name + "\n"
	}
	if _, err := fmt.Fprintf(p.w, "%sdata: %s\n\n", name, data); err != nil {
		return errGone
	}
	if err := p.rc.Flush(); err != nil {
		return errGone
	}
	return nil
}

// stream begins an event stream and lets write fill it. A fault that the steering
// asked for is the dialect's to write, and then ends the answer in good order.
func (x *exchange) stream(write func() error, fault func() error) error {
	if x.steer.cut == 0 {
		return errCut
	}
	x.headers("text/event-stream; charset=utf-8")
	x.w.WriteHeader(http.StatusOK)
	_ = x.pen.rc.Flush()
	err := write()
	if err == errFault {
		_ = fault()
	}
	return err
}

// marshal is JSON as providers write it: <, > and & stand for themselves.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("write an answer: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// quote is a JSON string.
func quote(s string) string {
	raw, err := marshal(s)
	if err != nil {
		return `""`
	}
	return string(raw)
}
