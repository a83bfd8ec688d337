package watch

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

func TestWhatConcernsAFolder(t *testing.T) {
	for _, row := range []struct {
		dir, of string
		want    bool
	}{
		{"/etc/box/secrets", "/etc/box/secrets", true},
		{"/etc/box/secrets/", "/etc/box/secrets/openai", true},
		{"/etc/box/secrets", "/etc/box/secrets/..data", true},
		{"/etc/box/secrets", "/etc/box/secrets/a/b", true},
		{"/etc/box/secrets", "/etc/box/secrets.new", false},
		{"/etc/box/secrets", "/etc/box/other", false},
		{"/etc/box/secrets", "/etc/box", false},
		{"/", "/etc", true},
		{".", "one", true},
		{".", "./one", true},
		{"secrets", "./secrets/openai", true},
		{"secrets", "./other", false},
		{"../secrets", "../secrets/openai", true},
		{"../secrets", "../other", false},
	} {
		w := &watcher{Folder: Folder{Dir: row.dir}}
		if got := w.concerns(fsnotify.Event{Name: row.of}); got != row.want {
			t.Errorf("%s concerns %s: %v", row.of, row.dir, got)
		}
	}
}

// tell tells of a change of this every half second.
func tell(ctx context.Context, events chan<- fsnotify.Event, of string) {
	for {
		time.Sleep(time.Second / 2)
		select {
		case events <- fsnotify.Event{Name: of}:
		case <-ctx.Done():
			return
		}
	}
}

func TestHowLongItRests(t *testing.T) {
	for name, row := range map[string]struct {
		of   string
		want time.Duration
	}{
		"while the folder never rests":         {"/etc/secrets/openai", maxRounds * time.Second / 2},
		"while the one around it never rests":  {"/etc/other", time.Second},
		"while one of a longer name is filled": {"/etc/secrets-old/openai", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				events := make(chan fsnotify.Event)
				var wg sync.WaitGroup
				wg.Go(func() { tell(ctx, events, row.of) })
				defer wg.Wait()
				defer cancel()
				w, began := &watcher{Folder: Folder{Dir: "/etc/secrets", Settle: time.Second}}, time.Now()
				w.events = &fsnotify.Watcher{Events: events}
				if !w.rest(ctx) || time.Since(began) != row.want {
					t.Errorf("it rested for %s; want %s", time.Since(began), row.want)
				}
			})
		})
	}
}

// When the kernel had more events than it keeps, nobody knows which were lost: the
// folder is read, and watched anew.
func TestLostEvents(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "one")
	var log bytes.Buffer // written by Run's goroutine, which has ended when it is read
	w := &watcher{Folder: Folder{Dir: dir, Poll: time.Hour, Settle: time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))}}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer w.close()
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Error(err)
		}
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	lose := func() {
		errs := w.events.Errors
		wg.Go(func() { errs <- fsnotify.ErrEventOverflow })
	}
	looks := 0
	w.run(ctx, func(Rest) {
		raw, _ := os.ReadFile(file)
		switch looks++; {
		case looks <= 3:
			lose() // with nothing else to tell of
		case looks == 4:
			write("seen")
		case string(raw) == "seen":
			cancel()
		}
	})
	if said := strings.Count(log.String(), "watching a folder fails at times"); said != 1 {
		t.Errorf("said %d times:\n%s", said, log.String())
	}
}
