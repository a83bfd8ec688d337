package pages

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func TestTerminal(t *testing.T) {
	term, err := openTerminal(t.TempDir(), t.TempDir(), []string{"PATH=" + os.Getenv("PATH")})
	if err != nil {
		t.Fatal(err)
	}
	defer term.close()
	for _, row := range []struct {
		why, text, out string
		status         int
	}{
		{"what it prints, on both streams", "echo a; echo b >&2\n", "a\nb\n", 0},
		{"what is set stays", "A=1\nexport B='two\nlines'\ncd /\n", "", 0},
		{"and is there", "echo $A; env | grep -A1 ^B=; pwd\n", "1\nB=two\nlines\n/\n", 0},
		{"the first failure ends the block", "echo a\n(exit 7)\necho b\n", "a\n", 7},
		{"and not the terminal", "echo $A\n", "1\n", 0},
		{"in a pipe as well", "(exit 5) | cat\necho b\n", "", 5},
		{"a condition is no failure", "false || echo c\nif false; then :; fi\n", "c\n", 0},
		{"a document in the block", "cat <<'END'\n$x\nEND\n", "$x\n", 0},
		{"nobody types", "cat; echo d\n", "d\n", 0},
	} {
		out, status, err := term.paste(t.Context(), row.text)
		if err != nil || out != row.out || status != row.status {
			t.Errorf("%s: %q, %d, %v", row.why, out, status, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, _, err := term.paste(ctx, "sleep 600\n"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "does not end") {
		t.Errorf("a block that never ends: %v", err)
	}
}
