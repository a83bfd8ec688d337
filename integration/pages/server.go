package pages

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// server is a command that stays, in a terminal of its own.
type server struct {
	line   string
	cmd    *exec.Cmd
	out    printed
	exited chan struct{}
	err    error
}

// printed is what a server says, safe to be read while it speaks.
type printed struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf.Write(b)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf.String()
}

// startServer runs a line and waits until it answers at url, whatever it says:
// Signalbox answers at /readyz when it can decide, others when they listen.
func startServer(ctx context.Context, line, dir string, env []string, url string) (*server, error) {
	s := &server{line: line, exited: make(chan struct{}), cmd: exec.Command("bash", "--noprofile", "--norc", "-c", "exec "+line)}
	s.cmd.Dir, s.cmd.Env = dir, env
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", line, err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.exited)
	}()
	for {
		select {
		case <-s.exited:
			return nil, fmt.Errorf("%s: it ended: %v\n%s", line, s.err, s.out.String())
		case <-ctx.Done():
			_ = s.stop()
			return nil, fmt.Errorf("%s: it does not answer at %s: %w\n%s", line, url, ctx.Err(), s.out.String())
		case <-time.After(10 * time.Millisecond):
		}
		if answers(ctx, url) {
			return s, nil
		}
	}
}

func answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop is Ctrl-C, and the wait for what the server still has to do.
func (s *server) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-s.exited:
	case <-time.After(time.Minute):
		_ = s.cmd.Process.Kill()
		<-s.exited
		return fmt.Errorf("%s: it did not end within a minute\n%s", s.line, s.out.String())
	}
	if s.err != nil {
		return fmt.Errorf("%s: %w\n%s", s.line, s.err, s.out.String())
	}
	return nil
}

// freeAddress is one of this machine that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
