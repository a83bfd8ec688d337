package pages

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// terminal is a shell that a reader pastes blocks into. What one block sets, the
// next one has.
type terminal struct {
	scratch string // its files
	cmd     *exec.Cmd
	in      io.WriteCloser
	status  *bufio.Reader // the exit status of each block, a line each
	pasted  int
}

func openTerminal(dir, scratch string, env []string) (*terminal, error) {
	says, status, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer status.Close()
	t := &terminal{scratch: scratch, status: bufio.NewReader(says), cmd: exec.Command("bash", "--noprofile", "--norc")}
	t.cmd.Dir, t.cmd.Env = dir, env
	t.cmd.ExtraFiles = []*os.File{status} // descriptor 3
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if t.in, err = t.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, fmt.Errorf("open a terminal: %w", err)
	}
	return t, nil
}

// paste runs a block and gives what it printed, on either stream, and its exit
// status: of its first command that failed, or of its last.
func (t *terminal) paste(ctx context.Context, text string) (string, int, error) {
	t.pasted++
	block := filepath.Join(t.scratch, fmt.Sprintf("block%d.sh", t.pasted))
	printed := filepath.Join(t.scratch, fmt.Sprintf("block%d.out", t.pasted))
	// set -e would close the terminal with the block; the trap leaves the block alone.
	text = "set -o pipefail\ntrap 'return $?' ERR\n" + text
	if err := os.WriteFile(block, []byte(text), 0o600); err != nil {
		return "", 0, err
	}
	line := fmt.Sprintf(". %s </dev/null >%s 2>&1; status=$?; trap - ERR; echo $status >&3\n", quote(block), quote(printed))
	if _, err := io.WriteString(t.in, line); err != nil {
		return "", 0, fmt.Errorf("the terminal is gone: %w", err)
	}
	status, err := t.wait(ctx)
	out, readErr := os.ReadFile(printed)
	if err == nil {
		err = readErr
	}
	return string(out), status, err
}

func (t *terminal) wait(ctx context.Context) (int, error) {
	type answer struct {
		line string
		err  error
	}
	came := make(chan answer, 1)
	go func() {
		line, err := t.status.ReadString('\n')
		came <- answer{line, err}
	}()
	select {
	case a := <-came:
		if a.err != nil {
			return 0, fmt.Errorf("the terminal was closed by the block: %w", a.err)
		}
		return strconv.Atoi(strings.TrimSpace(a.line))
	case <-ctx.Done():
		t.close() // which ends the read as well
		<-came
		return 0, fmt.Errorf("the block does not end: %w", ctx.Err())
	}
}

// close ends the shell and everything that was left running in it.
func (t *terminal) close() {
	_ = syscall.Kill(-t.cmd.Process.Pid, syscall.SIGKILL)
	_ = t.in.Close()
	_ = t.cmd.Wait()
}

func quote(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }
