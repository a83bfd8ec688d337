package pages

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Reader follows one page, and the pages before it, on one machine.
type Reader struct {
	m        *Machine
	terminal *terminal
	servers  map[string]*server // by what they are: a second start is after Ctrl-C
	programs int
}

// NewReader sits down at a machine. Close it.
func NewReader(m *Machine) (*Reader, error) {
	t, err := openTerminal(m.Dir, m.scratch, m.env())
	if err != nil {
		return nil, err
	}
	return &Reader{m: m, terminal: t, servers: map[string]*server{}}, nil
}

// Close leaves: the terminal, and the servers, which have to end in order.
func (r *Reader) Close() error {
	r.terminal.close()
	var errs []error
	for _, s := range r.servers {
		errs = append(errs, s.stop())
	}
	return errors.Join(errs...)
}

// Said is what the servers have printed so far.
func (r *Reader) Said() string {
	var b strings.Builder
	for _, s := range r.servers {
		fmt.Fprintf(&b, "%s said\n%s\n", s.line, indent(s.out.String()))
	}
	return b.String()
}

// Bounds for a busy machine; neither says anything about speed.
const (
	blockEnds = 2 * time.Minute
	comesTrue = time.Minute
)

// Do does what one block says. prints is the text block behind it, nil for none.
// A block that fails has to be expected to.
func (r *Reader) Do(ctx context.Context, b Block, prints *Block, fails bool) error {
	ctx, cancel := context.WithTimeout(ctx, blockEnds)
	defer cancel()
	text := r.m.here(b.Text)
	want := ""
	if prints != nil {
		want = r.m.here(prints.Text)
	}
	switch b.Lang {
	case "sh":
		return r.shell(ctx, b, text, prints != nil, want, fails)
	case "python":
		return r.program(ctx, b, "python3", ".py", text, prints != nil, want, fails)
	case "js":
		return r.program(ctx, b, "node", ".mjs", text, prints != nil, want, fails)
	case "yaml", "toml":
		name, ok := b.fileName()
		if !ok {
			return fmt.Errorf("%s: the first line of a file is a comment with its name", b)
		}
		return r.save(name, text)
	}
	return fmt.Errorf("%s: nobody knows what to do with a block of %q", b, b.Lang)
}

// shell pastes a block, in pieces where it starts servers.
func (r *Reader) shell(ctx context.Context, b Block, text string, compare bool, want string, fails bool) error {
	var got strings.Builder
	for _, piece := range pieces(text) {
		if start := r.m.serverIn(piece); start != nil {
			if err := r.serve(ctx, start, piece); err != nil {
				return fmt.Errorf("%s: %w", b, err)
			}
			continue
		}
		out, status, err := r.terminal.paste(ctx, piece)
		got.WriteString(out)
		if err != nil || (status != 0) != fails {
			return fmt.Errorf("%s: exit status %d, %v; it printed\n%s", b, status, err, indent(got.String()))
		}
	}
	if !compare {
		return nil
	}
	return r.compare(ctx, b, text, want, got.String())
}

// compare asks again where an answer becomes true: the books and the analytics
// follow the journal.
func (r *Reader) compare(ctx context.Context, b Block, text, want, got string) error {
	err := Same(want, got)
	if err != nil && onlyAsks(text) {
		for deadline := time.Now().Add(comesTrue); err != nil && time.Now().Before(deadline); {
			time.Sleep(100 * time.Millisecond)
			out, status, failed := r.terminal.paste(ctx, text)
			if failed != nil || status != 0 {
				return fmt.Errorf("%s: exit status %d, %v", b, status, failed)
			}
			err = Same(want, out)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", b, err)
	}
	return nil
}

// onlyAsks: every command of the block may be asked twice.
func onlyAsks(text string) bool {
	for line := range strings.Lines(quoted.ReplaceAllString(joined(text), `""`)) {
		line = strings.TrimSpace(line)
		asks := strings.HasPrefix(line, "bin/signalbox sql ") || line == "bin/signalbox budgets" || strings.HasPrefix(line, "bin/signalbox budgets --match ")
		if line != "" && !asks {
			return false
		}
	}
	return true
}

// quoted is an argument that may go over lines, as queries do.
var quoted = regexp.MustCompile(`"[^"]*"`)

// serve starts a server, after the one of its kind that runs has been interrupted.
func (r *Reader) serve(ctx context.Context, start *starts, line string) error {
	if running := r.servers[start.what]; running != nil {
		delete(r.servers, start.what)
		if err := running.stop(); err != nil {
			return err
		}
	}
	s, err := startServer(ctx, strings.TrimSpace(joined(line)), r.m.Dir, append(r.m.env(), start.env...), start)
	if err != nil {
		return err
	}
	r.servers[start.what] = s
	return nil
}

// program runs a program of its own, in the reader's terminal.
func (r *Reader) program(ctx context.Context, b Block, interpreter, suffix, text string, compare bool, want string, fails bool) error {
	r.programs++
	name := fmt.Sprintf(".page%d%s", r.programs, suffix)
	if err := r.save(name, text); err != nil {
		return err
	}
	out, status, err := r.terminal.paste(ctx, interpreter+" "+name+"\n")
	if err != nil || (status != 0) != fails {
		return fmt.Errorf("%s: exit status %d, %v; it printed\n%s", b, status, err, indent(out))
	}
	if !compare {
		return nil
	}
	if err := Same(want, out); err != nil {
		return fmt.Errorf("%s: %w", b, err)
	}
	return nil
}

// save writes a file where the page says: in the folder, or in the reader's home.
func (r *Reader) save(name, text string) error {
	path := filepath.Join(r.m.Dir, name)
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		path = filepath.Join(r.m.Home, rest)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// pieces cuts a block before and behind each line that may start a server, so
// that the lines around it can be pasted on their own.
func pieces(text string) []string {
	var out []string
	rest := ""
	for line := range strings.Lines(text) {
		continued := strings.HasSuffix(rest, "\\\n")
		if !continued && isServer(line) {
			if strings.TrimSpace(rest) != "" {
				out = append(out, rest)
			}
			out = append(out, line)
			rest = ""
			continue
		}
		rest += line
	}
	if strings.TrimSpace(rest) != "" {
		out = append(out, rest)
	}
	return out
}

// joined puts continued lines together.
func joined(text string) string { return strings.ReplaceAll(text, "\\\n", " ") }
