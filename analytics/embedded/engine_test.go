package embedded

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the child, as the real program is.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "engine" && os.Args[2] == "serve" {
		if err := Serve(context.Background(), os.Args[3:]); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestEngine(t *testing.T) {
	e, err := Start(t.Context(), Config{Dir: t.TempDir()}, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := e.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"select version()", "create database signalbox", "create table signalbox.t (a Int64) engine=MergeTree order by a", "select * from file('/etc/passwd','TSV','a String')",
		"select * from url('http://127.0.0.1:1/','TSV','a String')", "select * from executable('id','TSV','a String')",
		"select * from file('/root/.bashrc','TSV','a String')"} {
		resp, err := http.Post(e.DSN(), "", strings.NewReader(q))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		t.Log(resp.Status, string(b))
	}
}
