package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What a stream is made of.
const (
	streamChunks = 50
	streamPause  = 10 * time.Millisecond
)

// answered is a chat completion of 841 bytes.
var answered = []byte(`{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"` +
	strings.Repeat("Sorry. ", 74) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":400,"completion_tokens":40,"total_tokens":440}}`)

// provider answers at once, so that what is measured is the way to it.
func provider() (addr string, stop func() error, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: http.HandlerFunc(answer), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // until it is closed
	return listener.Addr().String(), server.Close, nil
}

func answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // nobody is there
	}
	if bytes.Contains(body, []byte(`"stream":true`)) {
		pour(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(answered)))
	_, _ = w.Write(answered)
}

// began is what chunks count their times from.
var began = time.Now()

const chunkAt = `"content":"at `

// pour writes a stream whose chunks say when they were written.
func pour(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	for range streamChunks {
		fmt.Fprintf(w, "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{%s%d\"},\"finish_reason\":null}]}\n\n", chunkAt, time.Since(began))
		if out.Flush() != nil {
			return
		}
		time.Sleep(streamPause)
	}
	fmt.Fprint(w, "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"+
		"data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\",\"choices\":[],\"usage\":{\"prompt_tokens\":400,\"completion_tokens\":40,\"total_tokens\":440}}\n\ndata: [DONE]\n\n")
}

// writtenAt is when the chunk on this line was written.
func writtenAt(line []byte) (time.Time, bool) {
	_, rest, ok := bytes.Cut(line, []byte(chunkAt))
	if !ok {
		return time.Time{}, false
	}
	digits, _, _ := bytes.Cut(rest, []byte(`"`))
	n, err := strconv.ParseInt(string(digits), 10, 64)
	return began.Add(time.Duration(n)), err == nil
}
