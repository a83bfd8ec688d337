package agents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"syscall"
)

// User is somebody who works with a coding agent: a home, a folder to work in,
// and an environment with nothing in it of the process that runs the tests.
type User struct {
	Home string
	Work string
	// Border is the proxy that stands where the internet would be.
	Border *Border
}

// NewUser makes one below a folder.
func NewUser(dir string, border *Border) (*User, error) {
	u := &User{Home: filepath.Join(dir, "home"), Work: filepath.Join(dir, "work"), Border: border}
	for _, made := range []string{u.Home, u.Work} {
		if err := os.MkdirAll(made, 0o755); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// Ended is what a run of an agent left.
type Ended struct {
	Exit           int
	Stdout, Stderr string
}

func (e Ended) String() string {
	return fmt.Sprintf("exit status %d\n%s\n%s", e.Exit, e.Stdout, e.Stderr)
}

// Run runs an agent to its end, which an agent that tries again for ever does not
// reach: that is what the context is for.
func (u *User) Run(ctx context.Context, program string, env map[string]string, args ...string) (Ended, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = u.Work, u.env(env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return Ended{cmd.ProcessState.ExitCode(), out.String(), errs.String()}, err
}

func (u *User) env(more map[string]string) []string {
	env := []string{
		"HOME=" + u.Home, "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "TERM=dumb",
		"HTTPS_PROXY=" + u.Border.URL(), "HTTP_PROXY=" + u.Border.URL(), "ALL_PROXY=" + u.Border.URL(), "NO_PROXY=127.0.0.1,localhost",
	}
	for name, value := range more {
		env = append(env, name+"="+value)
	}
	sort.Strings(env)
	return env
}
