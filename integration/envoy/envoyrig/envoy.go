package envoyrig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/signalbox-dev/signalbox/integration/rig"
)

// Config is what an Envoy is started with.
type Config struct {
	Binary    string // see Binary
	Dir       string // its folder
	Bootstrap string // YAML
	Args      []string
	Env       []string  // on top of the process's
	Log       io.Writer // of the process; nil: only its end is kept, see Tail
}

// Envoy is one that runs.
type Envoy struct {
	config Config
	admin  string // host:port
	client *http.Client

	cmd     *exec.Cmd
	exited  chan struct{}
	exitErr error
	tail    *rig.Ending
}

// Start runs one and waits until it serves: all that its configuration names has
// come, and its listeners are open.
func Start(ctx context.Context, c Config) (*Envoy, error) {
	e, err := Launch(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := e.Ready(ctx); err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	return e, nil
}

// Launch runs one and waits only until it can be asked how it is.
func Launch(ctx context.Context, c Config) (*Envoy, error) {
	file := filepath.Join(c.Dir, "envoy.yaml")
	if err := errors.Join(os.MkdirAll(c.Dir, 0o755), os.WriteFile(file, []byte(c.Bootstrap), 0o600)); err != nil {
		return nil, fmt.Errorf("start envoy: %w", err)
	}
	e := &Envoy{config: c, exited: make(chan struct{}), tail: &rig.Ending{}, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}}
	address := filepath.Join(c.Dir, "admin-address")
	if err := os.Remove(address); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("start envoy: %w", err)
	}
	// Without hot restart no two Envoys of one machine share anything, so that nothing
	// has to be numbered apart.
	args := []string{"-c", file, "--disable-hot-restart", "--concurrency", "2", "--log-level", "warning", "--admin-address-path", address}
	e.cmd = exec.Command(c.Binary, append(args, c.Args...)...)
	e.cmd.Env = append(os.Environ(), c.Env...)
	out := io.Writer(e.tail)
	if c.Log != nil {
		out = io.MultiWriter(e.tail, c.Log)
	}
	e.cmd.Stdout, e.cmd.Stderr = out, out
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := e.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start envoy: %w", err)
	}
	go func() {
		e.exitErr = e.cmd.Wait()
		close(e.exited)
	}()
	err := e.until(ctx, "has no admin address", func() bool {
		raw, err := os.ReadFile(address)
		e.admin = strings.TrimSpace(string(raw))
		return err == nil && e.admin != ""
	})
	if err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	return e, nil
}

// Ready waits until it serves.
func (e *Envoy) Ready(ctx context.Context) error {
	return e.until(ctx, "does not serve", func() bool {
		status, _, err := e.ask(ctx, http.MethodGet, "/ready")
		return err == nil && status == http.StatusOK
	})
}

// until asks again and again, as long as the process lives.
func (e *Envoy) until(ctx context.Context, otherwise string, ask func() bool) error {
	for !ask() {
		select {
		case <-e.exited:
			return fmt.Errorf("envoy ended: %w\n%s", e.exitErr, e.Tail())
		case <-ctx.Done():
			return fmt.Errorf("envoy %s: %w\n%s", otherwise, ctx.Err(), e.Tail())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// Validate has a binary judge a bootstrap, as `--mode validate` does. What it finds is
// the error.
func Validate(ctx context.Context, binary, file string) error {
	cmd := exec.CommandContext(ctx, binary, "--mode", "validate", "-c", file, "--disable-hot-restart", "--log-level", "error")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("envoy --mode validate: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}

// Pid is the process's.
func (e *Envoy) Pid() int { return e.cmd.Process.Pid }

// Stop ends it, and waits.
func (e *Envoy) Stop() error {
	e.client.CloseIdleConnections()
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop envoy: %w", err)
	}
	select {
	case <-e.exited:
	case <-time.After(20 * time.Second):
		_ = e.cmd.Process.Kill()
		<-e.exited
		return fmt.Errorf("envoy did not end on SIGTERM\n%s", e.Tail())
	}
	var exit *exec.ExitError
	if errors.As(e.exitErr, &exit) && exit.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		return fmt.Errorf("envoy ended with %w\n%s", e.exitErr, e.Tail())
	}
	return nil
}

// Tail is the end of what it printed.
func (e *Envoy) Tail() string { return e.tail.String() }
