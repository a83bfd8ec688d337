package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The 2 KB chat of every row. Streams ask for their usage themselves, so that nothing
// has to be changed in a body: what changing costs is measured elsewhere.
var (
	prompt     = strings.Repeat("The parcel was marked as delivered. ", 52)
	chatBody   = `{"model":"gpt-4o","max_tokens":64,"messages":[{"role":"system","content":"You answer briefly."},{"role":"user","content":"` + prompt + `"}]}`
	streamBody = `{"model":"gpt-4o","max_tokens":64,"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"` + prompt + `"}]}`
)

// request is the bytes of one call. A client library would cost more than what is
// measured, on the same two cores.
func request(addr, key, body string) []byte {
	return fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nhost: %s\r\nauthorization: Bearer %s\r\ncontent-type: application/json\r\nuser-agent: bench\r\nx-signalbox-user: ada\r\ncontent-length: %d\r\n\r\n%s",
		addr, key, len(body), body)
}

// sample is the times of many calls, sorted.
type sample struct {
	times []time.Duration
	took  time.Duration
}

// quantile is in microseconds.
func (s sample) quantile(q float64) float64 {
	if len(s.times) == 0 {
		return 0
	}
	return float64(s.times[int(q*float64(len(s.times)-1))]) / float64(time.Microsecond)
}

// calls makes calls from so many callers, each as soon as its last one is answered.
func calls(ctx context.Context, addr string, call []byte, callers int, length time.Duration) (sample, error) {
	return together(ctx, callers, length, func(until time.Time) ([]time.Duration, error) {
		c, err := dial(addr)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		var times []time.Duration
		for len(times) == 0 || ctx.Err() == nil && time.Now().Before(until) {
			began := time.Now()
			answer, err := c.ask(call)
			if err != nil {
				return nil, err
			}
			if _, err := io.Copy(io.Discard, answer); err != nil {
				return nil, err
			}
			times = append(times, time.Since(began))
		}
		return times, nil
	})
}

// together runs callers side by side and sorts what they saw.
func together(ctx context.Context, callers int, length time.Duration, caller func(until time.Time) ([]time.Duration, error)) (sample, error) {
	var (
		mu    sync.Mutex
		all   sample
		first error
		wg    sync.WaitGroup
	)
	began := time.Now()
	for range callers {
		wg.Go(func() {
			times, err := caller(began.Add(length))
			mu.Lock()
			defer mu.Unlock()
			all.times = append(all.times, times...)
			if first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	all.took = time.Since(began)
	slices.Sort(all.times)
	return all, errors.Join(first, ctx.Err())
}

// streamed is what callers saw of streams.
type streamed struct{ first, lag sample }

// follow reads streams. Each chunk says when the provider wrote it.
func follow(ctx context.Context, addr string, call []byte, callers int, length time.Duration) (streamed, error) {
	var mu sync.Mutex
	var s streamed
	lag, err := together(ctx, callers, length, func(until time.Time) ([]time.Duration, error) {
		c, err := dial(addr)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		var firsts, lags []time.Duration
		for ctx.Err() == nil && time.Now().Before(until) {
			first, err := c.stream(call, &lags)
			if err != nil {
				return nil, err
			}
			firsts = append(firsts, first)
		}
		mu.Lock()
		defer mu.Unlock()
		s.first.times = append(s.first.times, firsts...)
		return lags, nil
	})
	slices.Sort(s.first.times)
	s.lag = lag
	return s, err
}

// caller is one connection.
type caller struct {
	net.Conn
	r *bufio.Reader
}

func dial(addr string) (*caller, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &caller{c, bufio.NewReaderSize(c, 16<<10)}, nil
}

// patience is how long one answer may take.
const patience = 30 * time.Second

// ask sends a call and reads the head of its answer; what it gives is the body.
func (c *caller) ask(call []byte) (io.Reader, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := c.Write(call); err != nil {
		return nil, err
	}
	status, err := c.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	ok := bytes.HasPrefix(status, []byte("HTTP/1.1 200 "))
	said := string(bytes.TrimSpace(status))
	length := int64(-1)
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, found := bytes.Cut(line, []byte(": ")); found && bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil {
				return nil, err
			}
		}
	}
	body := io.Reader(&chunked{r: httputil.NewChunkedReader(c.r), after: c.r})
	if length >= 0 {
		body = io.LimitReader(c.r, length)
	}
	if !ok {
		why, _ := io.ReadAll(io.LimitReader(body, 1<<10))
		return nil, fmt.Errorf("%s: %s", said, why)
	}
	return body, nil
}

// chunked reads the empty line behind the last chunk as well, so that the connection
// can be used again.
type chunked struct {
	r     io.Reader
	after *bufio.Reader
}

func (c *chunked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err == io.EOF {
		if _, more := c.after.ReadSlice('\n'); more != nil {
			return n, more
		}
	}
	return n, err
}

// stream reads one stream to its end: when its first byte came, and how late each
// chunk did.
func (c *caller) stream(call []byte, lags *[]time.Duration) (first time.Duration, err error) {
	began := time.Now()
	body, err := c.ask(call)
	if err != nil {
		return 0, err
	}
	lines := bufio.NewReader(body)
	ended := false
	for {
		line, err := lines.ReadSlice('\n')
		now := time.Now()
		if err == io.EOF && ended {
			return first, nil
		}
		if err != nil {
			return 0, fmt.Errorf("a stream broke off: %w", err)
		}
		if first == 0 {
			first = now.Sub(began)
		}
		ended = ended || bytes.HasPrefix(line, []byte("data: [DONE]"))
		if at, ok := writtenAt(line); ok {
			*lags = append(*lags, now.Sub(at))
		}
	}
}
