package rig

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Config is what a Box is started with.
type Config struct {
	Bin  string   // the binary
	Dir  string   // its folder; kept between starts
	Env  []string // on top of the process's
	Args []string // on top of serve -c FILE
	// HTTP, GRPC and Ops are listen addresses; empty: free loopback ports.
	HTTP, GRPC, Ops string
	// Admin is where operators are answered; empty: beside the gateways, on HTTP.
	Admin string
	// HTTPS is the certificate of the HTTP door, and Secure that of the gRPC door; nil:
	// plain.
	HTTPS, Secure *Certificate
	// NoFile starts serve as somebody does who tries it: with no configuration file,
	// in Dir; where to listen comes from the environment.
	NoFile bool
	// Extra is more of signalbox.yaml.
	Extra string
	Log   io.Writer // of the process; nil: kept, see Tail
}

// Certificate names the files of a door's certificate, and how we call the HTTP door.
type Certificate struct {
	Cert, Key, ClientCA string
	Client              *tls.Config
}

// yaml is the certificate's part of a listener.
func (c *Certificate) yaml() string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf(", tls: {cert: %s, key: %s, client_ca: %s}", c.Cert, c.Key, c.ClientCA)
}

// Box is one running signalbox.
type Box struct {
	Config
	HTTPClient *http.Client
	// Token is the operator's (sba_…) and GatewayToken the gateway's (sbg_…), where
	// being on this machine is not enough.
	Token, GatewayToken string
	Epoch               int // starts so far

	mu      sync.Mutex
	cmd     *exec.Cmd
	exited  chan struct{}
	exitErr error
	tail    *Ending
}

// New writes the configuration; Start runs it.
func New(c Config) (*Box, error) {
	for _, addr := range []*string{&c.HTTP, &c.GRPC, &c.Ops} {
		if *addr != "" {
			continue
		}
		free, err := listenFree()
		if err != nil {
			return nil, err
		}
		defer free.Close() // not before all are chosen, so that no two are the same
		*addr = free.Addr().String()
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, err
	}
	if !c.NoFile {
		if err := os.WriteFile(filepath.Join(c.Dir, "signalbox.yaml"), []byte(c.yaml()), 0o644); err != nil {
			return nil, err
		}
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 512, MaxConnsPerHost: 512}
	if c.HTTPS != nil {
		transport.TLSClientConfig = c.HTTPS.Client
	}
	return &Box{Config: c, HTTPClient: &http.Client{Transport: transport, Timeout: 60 * time.Second}, tail: &Ending{}}, nil
}

func (c *Config) yaml() string {
	listen := func(name, addr, more string) string { return fmt.Sprintf("%s: {listen: %s%s}\n", name, addr, more) }
	text := fmt.Sprintf("data_dir: %s\n", c.Data()) + listen("http", c.HTTP, c.HTTPS.yaml()) + listen("grpc", c.GRPC, c.Secure.yaml()) + listen("ops", c.Ops, "")
	if c.Admin != "" {
		text += listen("admin", c.Admin, "")
	}
	return text + c.Extra
}

// Data is the process's data folder.
func (c *Config) Data() string {
	if c.NoFile {
		return filepath.Join(c.Dir, "signalbox-data")
	}
	return filepath.Join(c.Dir, "data")
}

// command is serve, as this configuration wants it started.
func (c *Config) command() *exec.Cmd {
	args, env := []string{"serve"}, append(os.Environ(), c.Env...)
	if c.NoFile {
		env = append(env, "SIGNALBOX_HTTP_LISTEN="+c.HTTP, "SIGNALBOX_GRPC_LISTEN="+c.GRPC, "SIGNALBOX_OPS_LISTEN="+c.Ops)
	} else {
		args = append(args, "-c", filepath.Join(c.Dir, "signalbox.yaml"))
	}
	cmd := exec.Command(c.Bin, append(args, c.Args...)...)
	cmd.Env = env
	if c.NoFile {
		cmd.Dir = c.Dir
	}
	return cmd
}

// URL is the gateways' door.
func (c *Config) URL() string {
	if c.HTTPS != nil {
		return "https://" + c.HTTP
	}
	return "http://" + c.HTTP
}

// operators is where operators are answered.
func (c *Config) operators() string {
	if c.Admin != "" {
		return "http://" + c.Admin
	}
	return c.URL()
}

// FreePort is a loopback address that nobody listens on.
func FreePort() (string, error) {
	l, err := listenFree()
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// listenFree takes a port below those that the kernel gives to outgoing connections:
// behind thousands of streams, one of them had taken a port that was found free, before
// the process could listen there.
func listenFree() (l net.Listener, err error) {
	for range 100 {
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))); err == nil {
			return l, nil
		}
	}
	return nil, fmt.Errorf("find a free port: %w", err)
}

// Start runs the binary and waits until it can decide.
func (b *Box) Start(ctx context.Context) error {
	cmd := b.command()
	out := io.Writer(b.tail)
	if b.Log != nil {
		out = io.MultiWriter(b.tail, b.Log)
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", b.Bin, err)
	}
	b.mu.Lock()
	b.cmd, b.exited = cmd, make(chan struct{})
	exited := b.exited
	b.Epoch++
	b.mu.Unlock()
	go func() {
		b.exitErr = cmd.Wait()
		close(exited)
	}()
	return b.ready(ctx, exited)
}

func (b *Box) ready(ctx context.Context, exited chan struct{}) error {
	for {
		select {
		case <-exited:
			return fmt.Errorf("signalbox ended while starting: %v\n%s", b.exitErr, b.Tail())
		case <-ctx.Done():
			return fmt.Errorf("signalbox is not ready: %w\n%s", ctx.Err(), b.Tail())
		case <-time.After(10 * time.Millisecond):
		}
		status, _, err := b.get(ctx, "http://"+b.Ops+"/readyz")
		if err == nil && status == http.StatusOK {
			return nil
		}
	}
}

func (b *Box) get(ctx context.Context, url string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := b.HTTPClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return resp.StatusCode, body, err
}

// Ready is what /readyz says.
func (b *Box) Ready(ctx context.Context) (status int, body string, err error) {
	s, raw, err := b.get(ctx, "http://"+b.Ops+"/readyz")
	return s, string(raw), err
}

// Metrics is what Prometheus would read.
func (b *Box) Metrics(ctx context.Context) (string, error) {
	_, raw, err := b.get(ctx, "http://"+b.Ops+"/metrics")
	return string(raw), err
}

// Kill ends the process as a machine does: at once, with nothing said.
func (b *Box) Kill() error { return b.signal(syscall.SIGKILL) }

// Stop asks it to drain and waits.
func (b *Box) Stop() error {
	// A connection that was opened and never used keeps a server waiting for five
	// seconds, because its first request may be on the way.
	b.HTTPClient.CloseIdleConnections()
	return b.signal(syscall.SIGTERM)
}

// Pid is the process's.
func (b *Box) Pid() int { return b.running().Pid }

// Pause has it stand still, with its connections open, as a machine does that is
// out of breath; Resume has it go on.
func (b *Box) Pause() error { return b.running().Signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (b *Box) Resume() error { return b.running().Signal(syscall.SIGCONT) }

// Drain asks it to drain and does not wait; Stop does.
func (b *Box) Drain() error {
	return b.running().Signal(syscall.SIGTERM)
}

func (b *Box) running() *os.Process {
	cmd, _ := b.process()
	return cmd.Process
}

func (b *Box) process() (*exec.Cmd, chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cmd, b.exited
}

func (b *Box) signal(sig syscall.Signal) error {
	cmd, exited := b.process()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-exited:
	case <-time.After(60 * time.Second):
		_ = cmd.Process.Kill()
		return fmt.Errorf("signalbox did not end on %v within a minute\n%s", sig, b.Tail())
	}
	if sig == syscall.SIGTERM && b.exitErr != nil {
		return fmt.Errorf("signalbox ended with %w\n%s", b.exitErr, b.Tail())
	}
	return nil
}

// Tail is the end of what the process printed.
func (b *Box) Tail() string { return b.tail.String() }
