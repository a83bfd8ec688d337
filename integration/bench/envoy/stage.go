package main

import (
	"bufio"
	"context"
	_ "embed"
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

	"github.com/signalbox-dev/signalbox/integration/envoy/envoyrig"
	"github.com/signalbox-dev/signalbox/integration/rig"
)

//go:embed world.yaml
var world string

// gateway is the Envoys' name, and tokenVariable where they look for its token.
const (
	gateway       = "edge"
	tokenVariable = "SIGNALBOX_GATEWAY_TOKEN"
)

// row is one chain that is measured: an Envoy of its own, and the service it asks.
type row struct {
	name    string // alone, noop_… or ours_…
	addr    string
	envoy   int // process
	service int // 0: none
}

func (r row) ours() bool { return strings.HasPrefix(r.name, "ours_") }

// stage is everything that runs.
type stage struct {
	dir     string
	binary  string // Envoy's
	box     *rig.Box
	key     string // an application's
	token   string // the gateway's
	rows    []row
	closers []func() error // last first
}

// newStage starts the provider, the service, the no-op filters, and an Envoy a row.
func newStage(ctx context.Context, o options) (_ *stage, err error) {
	s := &stage{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "signalbox-bench-envoy-"); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func() error { return os.RemoveAll(s.dir) })
	if s.binary, err = envoyrig.Binary(ctx, envoyrig.Newest, os.Stderr); err != nil {
		return nil, err
	}
	address, stop, err := provider()
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, stop)
	if err := s.open(ctx, o.bin, address); err != nil {
		return nil, err
	}
	noop, err := s.startNoop(ctx)
	if err != nil {
		return nil, err
	}
	listen, err := rig.FreePort()
	if err != nil {
		return nil, err
	}
	if err := s.add(ctx, "alone", listen, 0, aloneBootstrap(listen, address)); err != nil {
		return nil, err
	}
	return s, s.chains(ctx, o, noop)
}

// open starts the service. Its analytics are off: they follow the journal behind the
// calls, on machines of their own where somebody cares for speed.
func (s *stage) open(ctx context.Context, bin, provider string) (err error) {
	if bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	s.box, err = rig.New(rig.Config{Bin: bin, Dir: filepath.Join(s.dir, "box"), Extra: "analytics: {disabled: true}\n",
		Env: []string{"SIGNALBOX_CREDENTIAL_OPENAI=sk-bench", "SIGNALBOX_OPS_PPROF=true", "SIGNALBOX_LEDGER_LEASE_WAIT=5s"}})
	if err != nil {
		return err
	}
	if err := s.box.Start(ctx); err != nil {
		return err
	}
	s.closers = append(s.closers, s.box.Stop)
	if err := s.box.Apply(ctx, strings.ReplaceAll(world, "{{.}}", provider)); err != nil {
		return err
	}
	if s.key, err = s.box.CreateKey(ctx, "acme/helpdesk"); err != nil {
		return err
	}
	s.token, err = s.box.NewGatewayToken(ctx, gateway)
	return err
}

// noopProcess is the filters that decide nothing, and where they listen.
type noopProcess struct {
	addr string
	pid  int
}

func (s *stage) startNoop(ctx context.Context) (noopProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return noopProcess{}, err
	}
	cmd := exec.CommandContext(ctx, self, "-noop")
	cmd.Stderr, cmd.SysProcAttr = os.Stderr, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return noopProcess{}, err
	}
	if err := cmd.Start(); err != nil {
		return noopProcess{}, fmt.Errorf("start the no-op filters: %w", err)
	}
	s.closers = append(s.closers, func() error {
		err := cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // it has no more to say
		return err
	})
	addr, err := bufio.NewReader(out).ReadString('\n')
	return noopProcess{addr: strings.TrimSpace(addr), pid: cmd.Process.Pid}, err
}

// chains are two modes, each with filters that decide nothing and with ours.
func (s *stage) chains(ctx context.Context, o options, noop noopProcess) error {
	for _, mode := range []string{"ext_authz", "ext_proc"} {
		for _, whose := range []string{"noop_", "ours_"} {
			name := whose + strings.TrimPrefix(mode, "ext_")
			if !strings.Contains(name, o.only) {
				continue
			}
			listen, err := rig.FreePort()
			if err != nil {
				return err
			}
			admin, err := rig.FreePort()
			if err != nil {
				return err
			}
			bootstrap, err := s.box.Run(ctx, "envoy", "bootstrap", "--mode", mode, "--signalbox", s.box.GRPC, "--listen", listen, "--admin", admin, "--node", name)
			if err != nil {
				return err
			}
			service := s.box.Pid()
			if whose == "noop_" {
				service = noop.pid
				if bootstrap, err = askNoop(bootstrap, noop.addr); err != nil {
					return err
				}
			}
			if err := s.add(ctx, name, listen, service, bootstrap); err != nil {
				return fmt.Errorf("start %s: %w", name, err)
			}
		}
	}
	return nil
}

// add starts an Envoy and waits until a call goes through it.
func (s *stage) add(ctx context.Context, name, listen string, service int, bootstrap string) error {
	e, err := envoyrig.Start(ctx, envoyrig.Config{Binary: s.binary, Dir: filepath.Join(s.dir, name), Bootstrap: bootstrap, Env: []string{tokenVariable + "=" + s.token}})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, e.Stop)
	s.rows = append(s.rows, row{name: name, addr: listen, envoy: e.Pid(), service: service})
	for deadline := time.Now().Add(20 * time.Second); ; {
		_, err := calls(ctx, listen, request(listen, s.key, chatBody), 1, time.Millisecond)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("no call goes through %s: %w\n%s", name, err, e.Tail())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (s *stage) close() error {
	var problems []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		problems = append(problems, s.closers[i]())
	}
	return errors.Join(problems...)
}

// profiled takes profiles of the service's CPU and of its allocations while a row of
// ours is under load, if they are wanted. What it gives waits for them.
func (s *stage) profiled(ctx context.Context, o options, r row) (func() error, error) {
	if o.profile == "" || !r.ours() {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(o.profile, 0o755); err != nil {
		return nil, err
	}
	kinds := map[string]string{"profile": ".cpu", "allocs": ".allocs"}
	done := make(chan error, len(kinds))
	for kind, ending := range kinds {
		url := fmt.Sprintf("http://%s/debug/pprof/%s?seconds=%d", s.box.Ops, kind, max(1, int(o.length.Seconds())))
		go func() { done <- fetch(ctx, url, filepath.Join(o.profile, r.name+ending)) }()
	}
	return func() error {
		var problems []error
		for range kinds {
			problems = append(problems, <-done)
		}
		return errors.Join(problems...)
	}, nil
}

func fetch(ctx context.Context, url, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(file, raw, 0o644)
}
