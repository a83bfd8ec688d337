package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// It prints its address, serves the provider there, says what it saw, and ends
// when it is told to.
func TestServe(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"-credential", "Bearer sk-test"}, w) }()
	url, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url = strings.TrimSpace(url)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk-test")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("answered %d", resp.StatusCode)
	}
	// The answer may be here before it is written down.
	for deadline := time.Now().Add(time.Minute); calls(t, url) != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the call is not counted after a minute")
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func calls(t *testing.T, url string) int {
	t.Helper()
	totals, err := http.Get(url + "/-/totals")
	if err != nil {
		t.Fatal(err)
	}
	defer totals.Body.Close()
	var said struct {
		Calls int `json:"calls"`
	}
	if err := json.NewDecoder(totals.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	return said.Calls
}
