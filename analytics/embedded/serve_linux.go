package embedded

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// The files that the parent hands to the child, and the environment by which the
// child's two starts know each other.
const (
	fdListener = 3 // the loopback socket, open before the network is taken away
	fdControl  = 4 // one line with the token; its end is the parent's end
	fdReport   = 5 // one line: "ready …" or "failed …"

	envConfined = "SIGNALBOX_ENGINE_CONFINED"
)

// Serve is the child's main, behind `signalbox engine serve`. It starts twice:
// the first start gives its rights up and replaces itself by the second, which
// loads the engine; so no thread of the engine ever had them.
func Serve(ctx context.Context, args []string) error {
	var c child
	flags := flag.NewFlagSet("engine serve", flag.ContinueOnError)
	flags.StringVar(&c.dir, "dir", "", "folder of the database")
	flags.StringVar(&c.lib, "lib", "", "path of libchdb.so")
	flags.IntVar(&c.sessions, "sessions", 8, "queries at once")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if c.dir == "" || c.lib == "" || !isPipe(fdControl) || !isPipe(fdReport) {
		return errors.New("engine serve is started by signalbox serve and not by hand")
	}
	confined, second := os.LookupEnv(envConfined)
	if !second {
		return c.report(c.start())
	}
	c.confined = confined
	return c.report(c.serve(ctx))
}

type child struct {
	dir, lib string
	sessions int
	confined string
}

// report tells the parent why nothing will come.
func (c *child) report(err error) error {
	if err != nil {
		_, _ = fmt.Fprintf(os.NewFile(fdReport, "report"), "failed %s\n", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return err
}

// start is the first of the two.
func (c *child) start() error {
	exe, err := selfPath()
	if err != nil {
		return err
	}
	// The restrictions are this thread's; the new image inherits them from it.
	runtime.LockOSThread()
	confined, err := confine(c.dir, filepath.Dir(c.lib), exe)
	if err != nil {
		return err
	}
	env := []string{envConfined + "=" + confined, "TZ=UTC", "HOME=" + c.dir, "TMPDIR=" + c.dir}
	if err := syscall.Exec(exe, os.Args, env); err != nil {
		return fmt.Errorf("start %s again: %w", exe, err)
	}
	return nil
}

const (
	maxInsert   = 256 << 20
	maxQuery    = 1 << 20
	drainAtMost = 3 * time.Second
)

// serve is the second: it answers until the parent's end of the control pipe
// closes. A parent that was killed closes it too, which PR_SET_PDEATHSIG would
// not say reliably: that signal comes when the starting thread ends.
func (c *child) serve(ctx context.Context) error {
	control := bufio.NewReader(os.NewFile(fdControl, "control"))
	token, err := control.ReadString('\n')
	if err != nil {
		return fmt.Errorf("read the token: %w", err)
	}
	listener, err := net.FileListener(os.NewFile(fdListener, "listener"))
	if err != nil {
		return fmt.Errorf("take the listener: %w", err)
	}
	lib, err := loadLibrary(c.lib)
	if err != nil {
		return err
	}
	// This session keeps the engine running between requests.
	anchor, err := lib.open(c.dir)
	if err != nil {
		return err
	}
	version, err := anchor.query("SELECT version()", "TabSeparated")
	if err != nil {
		return fmt.Errorf("ask the engine for its version: %w", err)
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: &handler{
		open:    func() (session, error) { return lib.open(c.dir) },
		user:    user,
		token:   strings.TrimSpace(token),
		version: strings.TrimSpace(string(version)),
		slots:   make(chan struct{}, c.sessions),
		maxBody: maxInsert, maxQuery: maxQuery,
	}}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	parent := make(chan struct{})
	go func() {
		defer close(parent)
		_, _ = io.Copy(io.Discard, control)
	}()
	if _, err := fmt.Fprintf(os.NewFile(fdReport, "report"), "ready %s, kept from %s\n", strings.TrimSpace(string(version)), c.confined); err != nil {
		return nil // the parent is gone already
	}
	select {
	case err = <-served:
		return fmt.Errorf("serve: %w", err)
	case <-parent:
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.Background(), drainAtMost)
	defer cancel()
	_ = server.Shutdown(drain)
	// The engine is not closed: the process ends as a kill would end it, which the
	// database is made for, and which cannot hang.
	return nil
}

func isPipe(fd uintptr) bool {
	var stat syscall.Stat_t
	return syscall.Fstat(int(fd), &stat) == nil && stat.Mode&syscall.S_IFMT == syscall.S_IFIFO
}
