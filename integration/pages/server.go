package pages

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
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

// startServer runs a line and waits until it answers.
func startServer(ctx context.Context, line, dir string, env []string, start *starts) (*server, error) {
	start.letGo()
	s := &server{line: line, exited: make(chan struct{}), cmd: exec.Command("bash", "--noprofile", "--norc", "-c", "exec env "+line)}
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
			return nil, fmt.Errorf("%s: it does not answer at %s: %w\n%s", line, start.ready, ctx.Err(), s.out.String())
		case <-time.After(10 * time.Millisecond):
		}
		if start.answers(ctx) {
			return s, nil
		}
	}
}

// answers: it says 200, and not that the part which comes later is still missing.
func (s *starts) answers(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.ready, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return err == nil && resp.StatusCode == http.StatusOK && (s.without == "" || !strings.Contains(string(body), s.without))
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

// reserve takes free ports of this machine, all at once so that none is given
// twice, and keeps them until the server that is to have them starts.
func reserve(n int) (held []net.Listener, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return held, err
		}
		held = append(held, l)
	}
	return held, nil
}

// letGo frees the server's ports, the first time it starts.
func (s *starts) letGo() {
	for _, l := range s.held {
		_ = l.Close()
	}
	s.held = nil
}
