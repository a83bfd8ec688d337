package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// envParent makes the test binary a parent of an engine that waits to be killed.
const envParent = "SIGNALBOX_TEST_ENGINE_PARENT"

// TestMain lets the test binary be the child, as the real program is.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "engine" && os.Args[2] == "serve" {
		if err := Serve(context.Background(), os.Args[3:]); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv(envParent); dir != "" {
		beParent(dir)
	}
	goleak.VerifyTestMain(m)
}

func beParent(dir string) {
	e, err := Start(context.Background(), Config{Dir: dir}, slog.Default())
	if err == nil {
		err = e.WaitReady(context.Background())
	}
	if err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
	fmt.Println(e.pid)
	select {}
}

// lines collects what is logged.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// need makes sure that the library is there: the tests are of the real engine.
func need(t *testing.T) string {
	t.Helper()
	path, err := Find("")
	if err != nil {
		if path, err = Install(t.Context(), "", nil); err != nil {
			t.Fatalf("these tests need ClickHouse's engine: %v", err)
		}
	}
	return path
}

func start(t *testing.T, cfg Config) (*Engine, *lines) {
	t.Helper()
	need(t)
	log := &lines{}
	e, err := Start(context.WithoutCancel(t.Context()), cfg, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e, log
}

func ready(t *testing.T, e *Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := e.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
}

// until waits for something that another process does.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// client keeps no connection open, so that no goroutine outlives its test.
func client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
}

// post sends a statement as curl would; params is "a=b&c=d".
func post(t *testing.T, e *Engine, params, body string) (int, http.Header, string) {
	t.Helper()
	url := strings.TrimSuffix(e.DSN(), "/signalbox") + "/?" + params
	resp, err := client().Post(url, "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, strings.TrimSpace(string(b))
}

func mustPost(t *testing.T, e *Engine, params, body string) string {
	t.Helper()
	status, _, text := post(t, e, params, body)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", body, status, text)
	}
	return text
}

func TestEngineAnswersHTTP(t *testing.T) {
	e, log := start(t, Config{Dir: t.TempDir()})
	ready(t, e)
	mustPost(t, e, "", "CREATE DATABASE d")
	mustPost(t, e, "database=d", "CREATE TABLE t (a Int64, s String) ENGINE = MergeTree ORDER BY a")

	t.Run("an insert's data may hold semicolons and zero bytes", func(t *testing.T) {
		row := "\x01\x00\x00\x00\x00\x00\x00\x00\x05a;\x00;b"
		mustPost(t, e, "database=d&query=INSERT+INTO+t+(a,+s)+FORMAT+RowBinary", row+row)
		if got := mustPost(t, e, "database=d", "SELECT count(), any(hex(s)) FROM t"); got != "2\t613B003B62" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("data cut short inserts nothing", func(t *testing.T) {
		status, _, _ := post(t, e, "database=d&query=INSERT+INTO+t+(a,+s)+FORMAT+RowBinary", "\x02\x00\x00\x00\x00\x00\x00\x00\x05a;")
		if got := mustPost(t, e, "database=d", "SELECT count() FROM t"); status == http.StatusOK || got != "2" {
			t.Errorf("status %d, %s rows", status, got)
		}
	})
	t.Run("settings and parameters end with their request", func(t *testing.T) {
		if got := mustPost(t, e, "max_threads=1&param_x=41", "SELECT {x:Int64} + getSetting('max_threads')"); got != "42" {
			t.Errorf("got %q", got)
		}
		if got := mustPost(t, e, "", "SELECT getSetting('readonly')"); got != "0" {
			t.Errorf("got %q", got)
		}
		if status, _, _ := post(t, e, "readonly=2", "DROP DATABASE d"); status == http.StatusOK {
			t.Error("readonly did not forbid a DROP")
		}
	})
	t.Run("errors carry ClickHouse's code", func(t *testing.T) {
		status, header, text := post(t, e, "database=d", "SELECT * FROM nothing")
		if status != http.StatusNotFound || header.Get("X-ClickHouse-Exception-Code") != "60" || !strings.HasPrefix(text, "Code: 60.") {
			t.Errorf("%d %v %s", status, header, text)
		}
		if status, _, text = post(t, e, "database=nowhere", "SELECT 1"); status != http.StatusNotFound {
			t.Errorf("%d %s", status, text)
		}
	})
	t.Run("nobody asks without the token", func(t *testing.T) {
		for _, url := range []string{strings.Replace(e.DSN(), e.token, "wrong", 1), strings.Replace(e.DSN(), user+":"+e.token+"@", "", 1)} {
			resp, err := client().Post(url, "", strings.NewReader("SELECT 1"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("%d", resp.StatusCode)
			}
		}
	})
	t.Run("queries run beside each other", func(t *testing.T) {
		slow := make(chan struct{})
		go func() {
			defer close(slow)
			mustPost(t, e, "max_execution_time=30&max_block_size=100", "SELECT sum(sleepEachRow(0.01)) FROM numbers(100)")
		}()
		mustPost(t, e, "", "SELECT 1")
		select {
		case <-slow:
			t.Error("a quick query waited for the slow one")
		default:
		}
		<-slow
	})
	t.Run("the kernel keeps it from files and the network", func(t *testing.T) {
		if !strings.Contains(log.String(), "files (landlock") || !strings.Contains(log.String(), "network (seccomp)") {
			t.Logf("this kernel has not all of it: %s", log)
			return
		}
		secret := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(secret, []byte("s"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, sql := range []string{
			"SELECT * FROM file('" + secret + "', TSV, 'a String')",
			"SELECT * FROM file('/proc/1/environ', RawBLOB)",
			"INSERT INTO FUNCTION file('" + secret + ".x', TSV, 'a String') VALUES ('x')",
			"SELECT * FROM url('http://127.0.0.1:9/', TSV, 'a String') SETTINGS http_max_tries = 1, http_connection_timeout = 1",
			"SELECT * FROM remote('127.0.0.1:9', system.one) SETTINGS connections_with_failover_max_tries = 1",
			"SELECT * FROM executable('/bin/id', TSV, 'a String')",
		} {
			if status, _, text := post(t, e, "max_execution_time=5", sql); status == http.StatusOK {
				t.Errorf("%s: answered %q", sql, text)
			}
		}
	})
}

func TestEngineComesBackAfterAKill(t *testing.T) {
	e, _ := start(t, Config{Dir: t.TempDir()})
	ready(t, e)
	mustPost(t, e, "", "CREATE DATABASE d")
	mustPost(t, e, "", "CREATE TABLE d.t (a Int64) ENGINE = MergeTree ORDER BY a")
	for round := range 2 {
		mustPost(t, e, "query=INSERT+INTO+d.t+(a)+FORMAT+TSV", fmt.Sprint(round))
		dsn, pid := e.DSN(), e.pid
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		until(t, "the engine is seen down", func() bool { return e.Err() != nil })
		ready(t, e)
		if e.DSN() != dsn || e.pid == pid {
			t.Errorf("address %v → %v, process %d → %d", dsn, e.DSN(), pid, e.pid)
		}
		if got := mustPost(t, e, "", "SELECT count() FROM d.t"); got != fmt.Sprint(round+1) {
			t.Errorf("%s rows after the kill, want %d", got, round+1)
		}
	}
}

func TestEngineEndsWithItsParent(t *testing.T) {
	need(t)
	dir := t.TempDir()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), envParent+"="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	until(t, "the child is gone", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
	e, _ := start(t, Config{Dir: dir})
	ready(t, e) // and its folder is free
}

func TestFolderOfAnotherEngine(t *testing.T) {
	dir := t.TempDir()
	first, _ := start(t, Config{Dir: dir})
	ready(t, first)
	second, _ := start(t, Config{Dir: dir})
	until(t, "the second says why", func() bool {
		err := second.Err()
		return err != nil && strings.Contains(err.Error(), "another process holds the analytics folder "+dir)
	})
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "the second takes over", func() bool { return second.Err() == nil })
}

func TestMissingEngineAppearsLater(t *testing.T) {
	library := need(t)
	place := t.TempDir()
	e, log := start(t, Config{Dir: t.TempDir(), EnginePath: place, Poll: 10 * time.Millisecond})
	err := e.WaitReady(t.Context())
	var missing *MissingError
	if !errors.As(err, &missing) || !strings.Contains(err.Error(), "run: signalbox engine install") {
		t.Fatalf("got %v", err)
	}
	if err := os.Symlink(library, filepath.Join(place, libraryName)); err != nil {
		t.Fatal(err)
	}
	until(t, "the engine is found", func() bool { return e.Err() == nil })
	if n := strings.Count(log.String(), "engine install"); n != 1 {
		t.Errorf("said %d times that it is missing, want once", n)
	}
}

func TestWrongLibrary(t *testing.T) {
	place := t.TempDir()
	if err := os.WriteFile(filepath.Join(place, libraryName), []byte("not a library"), 0o755); err != nil {
		t.Fatal(err)
	}
	e, _ := start(t, Config{Dir: t.TempDir(), EnginePath: place})
	until(t, "it says what is wrong", func() bool {
		err := e.Err()
		return err != nil && strings.Contains(err.Error(), "did not start: load "+place)
	})
}

func TestTailKeepsStatementsOut(t *testing.T) {
	log := &lines{}
	w := &tail{log: slog.New(slog.NewTextHandler(log, nil))}
	for _, s := range []string{
		"Code: 62. DB::Exception: Syntax error: SELECT 'secret'\n",
		"Cannot lock file /x/status. Another server inst", "ance in same directory\n",
		"Received signal 11 query: SELECT 'secret'\n",
		strings.Repeat("Received signal ", 1000) + "\n",
	} {
		if _, err := io.WriteString(w, s); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(log.String(), "secret") || !w.sawLock() || !strings.Contains(log.String(), "Received signal 11") {
		t.Errorf("lock seen %t, log:\n%s", w.sawLock(), log)
	}
	if len(log.String()) > 2000 {
		t.Errorf("a long line was logged whole: %d bytes", len(log.String()))
	}
}
