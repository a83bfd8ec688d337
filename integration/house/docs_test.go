package house_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages are the documents that send a reader to files.
var pages = []string{"../../README.md", "../../ARCHITECTURE.md", "../../docs/*.md", "../../docs/use/*.md", "../../docs/decisions/*.md"}

var (
	linked = regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)
	named  = regexp.MustCompile("`([a-z]+(?:/[a-z0-9_.*-]+)+/?)`")
)

// A page that names a file that is not there costs its reader a search.
func TestDocsNameWhatIsThere(t *testing.T) {
	for _, pattern := range pages {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, page := range files {
			raw, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range linked.FindAllStringSubmatch(string(raw), -1) {
				if !strings.Contains(m[1], "://") {
					there(t, page, filepath.Join(filepath.Dir(page), m[1]))
				}
			}
			for _, m := range named.FindAllStringSubmatch(string(raw), -1) {
				if room, _, _ := strings.Cut(m[1], "/"); isRoom(room) {
					there(t, page, filepath.Join("../..", m[1]))
				}
			}
		}
	}
}

func isRoom(name string) bool {
	info, err := os.Stat(filepath.Join("../..", name))
	return err == nil && info.IsDir()
}

func there(t *testing.T, page, path string) {
	t.Helper()
	if found, err := filepath.Glob(path); err != nil || len(found) == 0 {
		t.Errorf("%s names %s, which is not there", page, path)
	}
}
