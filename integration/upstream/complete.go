package upstream

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
)

// Complete answers a chat completion's body without a connection.
func (p *Provider) Complete(raw []byte, output string) ([]byte, error) {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(string(raw)))
	r.Header.Set(HeaderOutput, output)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if w.Code != http.StatusOK || !json.Valid(w.Body.Bytes()) {
		return nil, fmt.Errorf("the provider answered %d: %s", w.Code, w.Body)
	}
	return w.Body.Bytes(), nil
}
