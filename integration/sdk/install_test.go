package sdk

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A part that the table needs and cannot get must be named: whoever reads the
// failure has to know what to install.
func TestWhatIsMissingIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, row := range []struct {
		what string
		err  error
		want []string
	}{
		{"python", installPython(t.Context(), t.TempDir(), t.Output()), []string{"python3", "venv", "apt-get install python3 python3-venv"}},
		{"node", installNode(t.Context(), t.TempDir(), t.Output()), []string{"npm", "apt-get install npm"}},
	} {
		if row.err == nil {
			t.Errorf("%s: nothing is there to install it with, and nobody says so", row.what)
			continue
		}
		for _, want := range row.want {
			if !strings.Contains(row.err.Error(), want) {
				t.Errorf("%s: %q does not name %q", row.what, row.err, want)
			}
		}
	}
}

// The machine's Node is taken if the SDKs support it, and only then.
func TestOldNodes(t *testing.T) {
	for version, good := range map[string]bool{"v18.19.0": false, "v20.20.2": false, "v22.0.0": true, "v26.10.0": true, "nonsense": false} {
		dir := t.TempDir()
		script := "#!/bin/sh\necho " + version + "\n"
		if err := os.WriteFile(filepath.Join(dir, "node"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir)
		if _, err := systemNode(t.Context()); (err == nil) != good {
			t.Errorf("%s: %v", version, err)
		}
	}
}
