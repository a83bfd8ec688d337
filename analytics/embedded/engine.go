package embedded

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// user is the one name that the child answers to; the token is the secret.
const user = "signalbox"

// Config says where the engine lives.
type Config struct {
	Dir        string   // of the database; made if missing
	EnginePath string   // hint where libchdb.so is: a file or a folder; empty: look for it
	Exe        string   // this program; empty: os.Executable()
	Args       []string // before the engine's flags; empty: "engine", "serve"
	Sessions   int      // queries at once; 0: 8

	// Poll is how often a missing library is looked for; 0: 5 s.
	Poll time.Duration
}

// Engine is the supervised child process.
type Engine struct {
	cfg      Config
	log      *slog.Logger
	listener *net.TCPListener
	socket   *os.File // the listener, as the child inherits it
	token    string

	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	err     error         // why it does not answer; nil while it does
	changed chan struct{} // closed when err changes
	pid     int
}

var (
	errStarting = errors.New("the analytics engine is starting")
	errClosed   = errors.New("the analytics engine is stopped")
)

// Start begins supervising. A missing library is not an error of Start: Err says
// so until it appears. The engine runs until Close, or until ctx ends.
//
// The socket is opened here and handed to each child in turn, so that the address
// outlives the child and the child needs no right to open sockets. While no child
// accepts, a connection waits in the socket's queue.
func Start(ctx context.Context, cfg Config, log *slog.Logger) (*Engine, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	token := make([]byte, 24)
	if _, err := rand.Read(token); err != nil {
		return nil, fmt.Errorf("make the engine's token: %w", err)
	}
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("open the engine's socket: %w", err)
	}
	socket, err := listener.File()
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("open the engine's socket: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	e := &Engine{cfg: cfg, log: log, listener: listener, socket: socket, token: hex.EncodeToString(token),
		stop: stop, done: make(chan struct{}), err: errStarting, changed: make(chan struct{})}
	go e.supervise(ctx)
	return e, nil
}

func (c *Config) complete() error {
	if c.Exe == "" {
		exe, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
		c.Exe = exe
	}
	if len(c.Args) == 0 {
		c.Args = []string{"engine", "serve"}
	}
	if c.Sessions == 0 {
		c.Sessions = 8
	}
	if c.Poll == 0 {
		c.Poll = 5 * time.Second
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return fmt.Errorf("the engine's folder: %w", err)
	}
	c.Dir = dir
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("make the engine's folder: %w", err)
	}
	return nil
}

// DSN is how analytics.Open reaches the engine, its token included; it stays the
// same over restarts of the child.
func (e *Engine) DSN() string {
	return fmt.Sprintf("http://%s:%s@%s/signalbox", user, e.token, e.listener.Addr())
}

// Err says why the engine does not answer; nil while it does.
func (e *Engine) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// WaitReady returns when the engine answers, or when the library is missing,
// which waiting does not mend.
func (e *Engine) WaitReady(ctx context.Context) error {
	for {
		e.mu.Lock()
		err, changed := e.err, e.changed
		e.mu.Unlock()
		var missing *MissingError
		if err == nil || errors.As(err, &missing) || errors.Is(err, errClosed) {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		}
	}
}

// Close stops the child and waits for it.
func (e *Engine) Close() error {
	e.stop()
	<-e.done
	return nil
}

func (e *Engine) set(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
	close(e.changed)
	e.changed = make(chan struct{})
}

// supervise keeps one child running until ctx ends.
func (e *Engine) supervise(ctx context.Context) {
	defer close(e.done)
	defer e.listener.Close()
	defer e.socket.Close()
	defer e.set(errClosed)
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 100*time.Millisecond, 15*time.Second
	for ctx.Err() == nil {
		pause := e.cfg.Poll
		lib, err := Find(e.cfg.EnginePath)
		if err == nil {
			var answered bool
			answered, err = e.run(ctx, lib)
			if answered {
				wait.Reset()
			}
			pause = wait.NextBackOff()
		}
		if ctx.Err() != nil {
			return
		}
		if before := e.Err(); before == nil || err == nil || before.Error() != err.Error() {
			e.log.Warn("the analytics engine is down; reports wait, decisions go on", "error", err, "again_in", pause.Round(time.Millisecond))
		}
		e.set(err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// startAtMost is how long a child may take until it answers: loading the library
// and reading the folder's parts.
const startAtMost = 2 * time.Minute

// run starts one child and waits for its end; answered says whether it ever was
// ready.
func (e *Engine) run(ctx context.Context, lib string) (answered bool, err error) {
	cmd, pipes, err := e.command(lib)
	if err != nil {
		return false, err
	}
	defer pipes.close()
	stderr := &tail{log: e.log}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("start the analytics engine: %w", err)
	}
	pipes.started()
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	defer e.end(cmd, pipes, exited)
	if _, err := fmt.Fprintln(pipes.control, e.token); err != nil {
		return false, fmt.Errorf("hand the engine its token: %w", err)
	}
	report := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(io.LimitReader(pipes.report, 4096)).ReadString('\n')
		report <- strings.TrimSpace(line)
	}()
	timeout := time.NewTimer(startAtMost)
	defer timeout.Stop()
	select {
	case line := <-report:
		how, ready := strings.CutPrefix(line, "ready ")
		if !ready {
			return false, e.failed(line, stderr)
		}
		e.mu.Lock()
		e.pid = cmd.Process.Pid
		e.mu.Unlock()
		e.log.Info("the analytics engine answers", "engine", how, "pid", cmd.Process.Pid)
		e.set(nil)
	case <-timeout.C:
		return false, fmt.Errorf("the analytics engine did not answer within %s", startAtMost)
	case <-ctx.Done():
		return false, ctx.Err()
	}
	select {
	case err := <-exited:
		exited <- nil
		return true, fmt.Errorf("the analytics engine ended (%v)%s", err, stderr.hint())
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

// failed words why a child did not become ready.
func (e *Engine) failed(line string, stderr *tail) error {
	if stderr.sawLock() {
		return fmt.Errorf("another process holds the analytics folder %s; trying again", e.cfg.Dir)
	}
	reason := strings.TrimPrefix(line, "failed ")
	if reason == "" {
		reason = "it ended without a word"
	}
	return fmt.Errorf("the analytics engine did not start: %s%s", reason, stderr.hint())
}

// endAtMost is how long a child may finish what it answers.
const endAtMost = 5 * time.Second

// end closes the child's control pipe, which asks it to end, and then insists.
func (e *Engine) end(cmd *exec.Cmd, pipes *pipes, exited chan error) {
	_ = pipes.control.Close()
	select {
	case <-exited:
	case <-time.After(endAtMost):
		_ = cmd.Process.Kill()
		<-exited
	}
}

// pipes are the ends that parent and child hold.
type pipes struct {
	control, report           *os.File // ours
	childControl, childReport *os.File
}

func (p *pipes) started() { _, _ = p.childControl.Close(), p.childReport.Close() }
func (p *pipes) close() {
	for _, f := range []*os.File{p.control, p.report, p.childControl, p.childReport} {
		_ = f.Close()
	}
}

// command prepares the child. Its environment is empty: what this process was
// given in its own (tokens, keys) is none of the engine's business.
func (e *Engine) command(lib string) (*exec.Cmd, *pipes, error) {
	controlRead, controlWrite, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("open the engine's pipes: %w", err)
	}
	reportRead, reportWrite, err := os.Pipe()
	if err != nil {
		_, _ = controlRead.Close(), controlWrite.Close()
		return nil, nil, fmt.Errorf("open the engine's pipes: %w", err)
	}
	args := append(append([]string{}, e.cfg.Args...), "--dir", e.cfg.Dir, "--lib", lib, "--sessions", fmt.Sprint(e.cfg.Sessions))
	cmd := exec.Command(e.cfg.Exe, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.ExtraFiles = []*os.File{e.socket, controlRead, reportWrite}
	return cmd, &pipes{control: controlWrite, report: reportRead, childControl: controlRead, childReport: reportWrite}, nil
}
