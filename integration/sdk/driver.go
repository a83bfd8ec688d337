package sdk

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/integration/fetch"
)

//go:embed drivers/driver.py drivers/driver.mjs
var drivers embed.FS

// Task is one thing that an application does.
type Task struct {
	ID      int               `json:"id"`
	SDK     string            `json:"sdk"`           // openai, anthropic
	Op      string            `json:"op"`            // chat, responses, embeddings, messages, count_tokens, models, elsewhere
	How     string            `json:"how,omitempty"` // "": in one piece; stream: a loop over chunks; helper: the SDK's own
	URL     string            `json:"url"`
	Key     string            `json:"key"`
	Azure   string            `json:"azure,omitempty"` // deployments or v1: OpenAI's client for Azure's paths
	Headers map[string]string `json:"headers,omitempty"`
	Params  json.RawMessage   `json:"params"` // in the dialect's own words
}

// Got is what the application got.
type Got struct {
	OK       bool
	Text     string
	Thinking string
	Finish   string
	Usage    map[string]any
	Calls    []ToolCall `json:"tool_calls"`
	Chunks   int
	Bare     int // chunks without choices
	Names    []string
	Searches []string // what the provider looked for on the web
	Error    *Caught
}

// ToolCall is a tool that the model called, its arguments parsed.
type ToolCall struct {
	Name      string
	Arguments map[string]any
}

// Caught is the exception that the application caught.
type Caught struct {
	Class     string
	Bases     []string // its own class among them
	Status    int
	Code      string
	Type      string
	Message   string
	RequestID string `json:"request_id"`
	Body      any
}

// Driver is one running application.
type Driver struct {
	Versions map[string]string // of the SDKs in it

	cmd    *exec.Cmd
	in     io.WriteCloser
	said   record // its output, and its complaints
	exited chan error
	clean  func()

	mu      sync.Mutex
	next    int
	waiting map[int]*waiter
	ended   error // why no more lines come
}

type waiter struct {
	first func()
	got   chan json.RawMessage
}

// Languages are those there is a driver for.
var Languages = []string{"python", "node", "go"}

// StartDriver runs the driver of a language.
func StartDriver(ctx context.Context, kit *Kit, language string) (*Driver, error) {
	dir, err := os.MkdirTemp("", "signalbox-sdk-")
	if err != nil {
		return nil, fmt.Errorf("start the %s driver: %w", language, err)
	}
	d := &Driver{waiting: map[int]*waiter{}, exited: make(chan error, 1), clean: func() { _ = os.RemoveAll(dir) }}
	if d.cmd, err = command(ctx, kit, language, dir); err == nil {
		err = d.start(dir)
	}
	if err != nil {
		d.clean()
		return nil, fmt.Errorf("start the %s driver: %w", language, err)
	}
	return d, nil
}

// command puts a driver's program into a folder. It runs there, because Node looks
// for packages beside the program.
func command(ctx context.Context, kit *Kit, language, dir string) (*exec.Cmd, error) {
	put := func(name string) (string, error) {
		source, err := drivers.ReadFile("drivers/" + name)
		if err != nil {
			return "", err
		}
		path := filepath.Join(dir, name)
		return path, os.WriteFile(path, source, 0o644)
	}
	switch language {
	case "python":
		program, err := put("driver.py")
		return exec.Command(kit.Python, program), err
	case "node":
		program, err := put("driver.mjs")
		return exec.Command(kit.Node, program), errors.Join(err, os.Symlink(kit.Modules, filepath.Join(dir, "node_modules")))
	case "go":
		program := filepath.Join(dir, "driver")
		_, err := fetch.Output(ctx, "", "go", "build", "-o", program, "github.com/signalbox-dev/signalbox/integration/sdk/drivers/golang")
		return exec.Command(program), err
	}
	return nil, fmt.Errorf("no driver for %q", language)
}

// start runs it with an environment of its own: a proxy, a key or a base URL of
// whoever runs the tests would change what is tested, and so would a profile in
// their home.
func (d *Driver) start(dir string) error {
	d.cmd.Dir = dir
	d.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "PYTHONDONTWRITEBYTECODE=1", "NODE_NO_WARNINGS=1"}
	in, err := d.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	d.in, d.cmd.Stderr = in, &d.said
	if err := d.cmd.Start(); err != nil {
		return err
	}
	hello := make(chan struct{})
	go d.read(out, hello)
	select {
	case <-hello:
		return nil
	case err := <-d.exited:
		return fmt.Errorf("it ended: %w\n%s", err, d.said.String())
	case <-time.After(time.Minute):
		return errors.Join(errors.New("it does not say hello"), d.cmd.Process.Kill())
	}
}

// line is one line out.
type line struct {
	ID       int
	First    bool
	Versions map[string]string
}

// read takes the lines to those who wait for them, until there are no more.
func (d *Driver) read(out io.Reader, hello chan struct{}) {
	scanner := bufio.NewScanner(io.TeeReader(out, &d.said))
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			continue // Not ours: an SDK's own print. It stays in what was said.
		}
		if l.Versions != nil {
			d.Versions = l.Versions
			close(hello)
			continue
		}
		d.deliver(l, bytes.Clone(scanner.Bytes()))
	}
	err := errors.Join(scanner.Err(), d.cmd.Wait())
	d.mu.Lock()
	d.ended = fmt.Errorf("the driver ended: %w\n%s", err, d.said.Tail())
	for id, w := range d.waiting {
		close(w.got)
		delete(d.waiting, id)
	}
	d.mu.Unlock()
	d.exited <- err
}

func (d *Driver) deliver(l line, raw json.RawMessage) {
	d.mu.Lock()
	w := d.waiting[l.ID]
	if !l.First {
		delete(d.waiting, l.ID)
	}
	d.mu.Unlock()
	switch {
	case w == nil:
	case l.First:
		w.first()
	default:
		w.got <- raw
	}
}

// Do is one task. first, if there is one, is called when the first text of a
// stream has reached the application.
func (d *Driver) Do(ctx context.Context, t Task, first func()) (*Got, error) {
	if first == nil {
		first = func() {}
	}
	w := &waiter{first: first, got: make(chan json.RawMessage, 1)}
	if err := d.send(t, w); err != nil {
		return nil, err
	}
	select {
	case raw, ok := <-w.got:
		if !ok {
			return nil, d.end()
		}
		var got Got
		if err := json.Unmarshal(raw, &got); err != nil {
			return nil, fmt.Errorf("the driver said %s: %w", raw, err)
		}
		return &got, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%s %s: no answer: %w", t.SDK, t.Op, ctx.Err())
	}
}

func (d *Driver) send(t Task, w *waiter) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended != nil {
		return d.ended
	}
	d.next++
	t.ID = d.next
	raw, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("write a task: %w", err)
	}
	d.waiting[t.ID] = w
	_, err = d.in.Write(append(raw, '\n'))
	return err
}

func (d *Driver) end() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ended
}

// Said is everything that the driver printed.
func (d *Driver) Said() string { return d.said.String() }

// Stop ends it when its tasks are done.
func (d *Driver) Stop() error {
	defer d.clean()
	err := d.in.Close()
	select {
	case ended := <-d.exited:
		return errors.Join(err, ended)
	case <-time.After(time.Minute):
		return errors.Join(errors.New("the driver does not end"), d.cmd.Process.Kill())
	}
}

// record keeps what was printed, up to a bound.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

const keptOutput = 64 << 20

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.b.Len()+len(p) > keptOutput {
		return 0, errors.New("the driver says too much")
	}
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// Tail is the last of it, for errors.
func (r *record) Tail() string {
	s := r.String()
	return s[max(0, len(s)-4<<10):]
}
