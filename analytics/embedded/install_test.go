package embedded

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// fakeNPM is a program that does as npm pack would: it runs the script, with the
// folder for tarballs in $3 … as npm gets it.
func fakeNPM(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "npm")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// parcelOf is a package as npm packs it.
func parcelOf(t *testing.T, member string, content []byte) (path, digest string) {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	w := tar.NewWriter(zipped)
	for name, data := range map[string][]byte{"package/package.json": []byte("{}"), member: content} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "p.tgz")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(b.Bytes())
	return path, base64.StdEncoding.EncodeToString(sum[:])
}

func TestInstall(t *testing.T) {
	tarball, digest := parcelOf(t, "package/libchdb.so", []byte("the library"))
	calls := filepath.Join(t.TempDir(), "calls")
	npm := fakeNPM(t, fmt.Sprintf("echo $2 >> %s; cp %s $4/p-1.tgz", calls, tarball))
	s := source{npm: npm, spec: "p@1", digest: digest, tarball: 100, member: "package/libchdb.so", library: 11}
	dir := filepath.Join(t.TempDir(), "engine")

	// Several at once: one downloads, all get it.
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			path, err := s.install(t.Context(), dir, nil)
			if err != nil || path != filepath.Join(dir, libraryName) {
				t.Errorf("%q, %v", path, err)
			}
		})
	}
	all.Wait()
	var last, of int64
	if _, err := s.install(t.Context(), dir, func(done, total int64) { last, of = done, total }); err != nil || last != 0 || of != 0 {
		t.Errorf("installing again: %v, progress %d/%d", err, last, of)
	}
	if got, err := os.ReadFile(calls); err != nil || string(got) != "p@1\n" {
		t.Errorf("npm was called %q, want once for p@1: %v", got, err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, libraryName)); err != nil || string(got) != "the library" {
		t.Errorf("%q, %v", got, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 { // the library and the lock
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestInstallFails(t *testing.T) {
	tarball, digest := parcelOf(t, "package/libchdb.so", []byte("the library"))
	other, otherDigest := parcelOf(t, "package/other", []byte("x"))
	good := source{spec: "p@1", digest: digest, member: "package/libchdb.so", library: 11}
	with := func(change func(*source)) source { s := good; change(&s); return s }
	for name, c := range map[string]struct {
		source source
		want   string
	}{
		"without npm":          {with(func(s *source) { s.npm = filepath.Join(t.TempDir(), "npm") }), "npm is not installed"},
		"offline":              {with(func(s *source) { s.npm = fakeNPM(t, "echo npm error code ENOTFOUND >&2; exit 1") }), "is this machine offline? (ENOTFOUND)"},
		"disk full below npm":  {with(func(s *source) { s.npm = fakeNPM(t, "echo npm error ENOSPC: no space >&2; exit 1") }), "no space left"},
		"npm says something":   {with(func(s *source) { s.npm = fakeNPM(t, "echo npm error strange >&2; exit 7") }), "exit status 7: strange"},
		"another file":         {with(func(s *source) { s.npm = fakeNPM(t, "cp "+other+" $4/p.tgz") }), "is not the file this program knows"},
		"no file":              {with(func(s *source) { s.npm = fakeNPM(t, "true") }), "0 tarballs"},
		"a package without it": {with(func(s *source) { s.npm, s.digest = fakeNPM(t, "cp "+other+" $4/p.tgz"), otherDigest }), "holds no package/libchdb.so"},
		"a library cut short":  {with(func(s *source) { s.npm, s.library = fakeNPM(t, "cp "+tarball+" $4/p.tgz"), 12 }), "has 11 bytes, want 12"},
		"more than there is":   {with(func(s *source) { s.library = 1 << 60 }), "MB free"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := c.source.install(t.Context(), dir, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if _, err := os.Stat(filepath.Join(dir, libraryName)); err == nil {
				t.Error("a library is there all the same")
			}
		})
	}
}
