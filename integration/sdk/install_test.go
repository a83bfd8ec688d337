package sdk

import (
	"os"
	"path/filepath"
	"testing"
)

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
