package folder_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/journal/folder"
)

func TestOneHolderAtATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, err := folder.Hold(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = folder.Hold(dir)
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "another signalbox (process ") {
		t.Fatalf("the second holder was told %v; want the folder and the process named", err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	second, err := folder.Hold(dir)
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	if err := second.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestAFolderThatCannotBeMade(t *testing.T) {
	if _, err := folder.Hold("/proc/nowhere"); err == nil || !strings.Contains(err.Error(), "/proc/nowhere") {
		t.Fatalf("got %v; want an error naming the folder", err)
	}
}
