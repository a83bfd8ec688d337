// Command golang is an application made of the official Go SDKs, told over stdin
// what to do.
//
// Each line in is a task: which SDK, which call, its parameters, the address and
// the key. Each line out is what the application got, or the error that it was
// given. Tasks run side by side, as an application's requests do.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
)

// task is one line in.
type task struct {
	ID      int               `json:"id"`
	SDK     string            `json:"sdk"`
	Op      string            `json:"op"`
	How     string            `json:"how"`
	URL     string            `json:"url"`
	Key     string            `json:"key"`
	Azure   string            `json:"azure"`
	Headers map[string]string `json:"headers"`
	Params  json.RawMessage   `json:"params"`
}

// got is what came, in the same words for every call.
type got struct {
	ID       int             `json:"id"`
	OK       bool            `json:"ok"`
	Text     string          `json:"text"`
	Thinking string          `json:"thinking"`
	Finish   string          `json:"finish"`
	Usage    json.RawMessage `json:"usage,omitempty"`
	Calls    []toolCall      `json:"tool_calls"`
	Chunks   int             `json:"chunks"`
	Bare     int             `json:"bare"`
	Names    []string        `json:"names"`
	Searches []string        `json:"searches"`
	Error    *caught         `json:"error,omitempty"`

	out *lines
}

type toolCall struct {
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

// caught is what an application can read of an error.
type caught struct {
	Class     string          `json:"class"`
	Bases     []string        `json:"bases"`
	Status    int             `json:"status"`
	Code      string          `json:"code"`
	Type      string          `json:"type"`
	Message   string          `json:"message"`
	RequestID string          `json:"request_id"`
	Body      json.RawMessage `json:"body,omitempty"`
}

// part is one piece of a stream's text; the first is told at once.
func (g *got) part(text string) {
	if text != "" && g.Text == "" {
		g.out.say(map[string]any{"id": g.ID, "first": true})
	}
	g.Text += text
}

func (g *got) call(name, arguments string) {
	if arguments == "" {
		arguments = "{}"
	}
	g.Calls = append(g.Calls, toolCall{name, json.RawMessage(arguments)})
}

// read keeps raw JSON that an SDK hands on, if it is there.
func raw(text string) json.RawMessage {
	if !json.Valid([]byte(text)) || text == "null" {
		return nil
	}
	return json.RawMessage(text)
}

// lines writes one JSON object a line.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) say(v any) {
	line, err := json.Marshal(v)
	if err != nil {
		line = fmt.Appendf(nil, `{"broken":%q}`, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.w.Write(append(line, '\n'))
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdin, &lines{w: os.Stdout}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, in io.Reader, out *lines) error {
	out.say(map[string]any{"versions": versions()})
	var working sync.WaitGroup
	defer working.Wait()
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		var t task
		if err := json.Unmarshal(scanner.Bytes(), &t); err != nil {
			return fmt.Errorf("read a task: %w", err)
		}
		working.Go(func() { out.say(t.do(ctx, out)) })
	}
	return scanner.Err()
}

// do is one task.
func (t *task) do(ctx context.Context, out *lines) *got {
	g := &got{ID: t.ID, Calls: []toolCall{}, Names: []string{}, out: out}
	err := t.ask(ctx, g)
	g.OK = err == nil
	if err != nil {
		g.Error = catch(err)
	}
	return g
}

func (t *task) ask(ctx context.Context, g *got) error {
	if t.SDK == "anthropic" {
		return t.anthropic(ctx, g)
	}
	return t.openai(ctx, g)
}
