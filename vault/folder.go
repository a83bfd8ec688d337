package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

const (
	// maxCredentials bounds how many files are read; the first by name are.
	maxCredentials = 1000
	// maxOdd bounds what is said of files that are none: somebody else's folder.
	maxOdd = 20
)

const (
	wantFolder = "let this user list it and read its files, or set credentials.dir"
	wantFile   = "write the credential alone into it, beside it first and then renamed; to revoke it, remove the file"
)

// look is what one reading of the folder found.
type look struct {
	good map[string]Secret
	bad  map[string]Problem // files that are there and cannot be used now
	odd  []Problem
	err  error // the folder cannot be read: nothing is known of any file
}

// readFolder reads every credential's file. A folder that is not there is empty.
func readFolder(dir string) look {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return look{}
	}
	if err != nil {
		return look{err: err}
	}
	l := look{good: map[string]Secret{}, bad: map[string]Problem{}}
	var exposed []string
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case backup(name):
		case !credentialName(name):
			l.oddity(dir, name, "is not read: credentials are called as in the registry, with a-z, 0-9, \".\", \"_\" and \"-\" only", "rename or remove it")
		case len(l.good)+len(l.bad) == maxCredentials:
			l.odd = append(l.odd, Problem{Where: dir, What: fmt.Sprintf("holds more than %d files; those behind the first by name are not read", maxCredentials), Want: "remove what is no credential"})
			return l
		default:
			if l.read(dir, name) {
				exposed = append(exposed, name)
			}
		}
	}
	l.exposure(dir, exposed)
	return l
}

// backup reports whether a name is an editor's, a system's or Kubernetes' own:
// .vault.swp, ..data, azure-weu~, #azure-weu#.
func backup(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || strings.HasPrefix(name, "#")
}

func (l *look) oddity(dir, name, what, want string) {
	if len(l.odd) == maxOdd {
		return
	}
	l.odd = append(l.odd, Problem{Where: filepath.Join(dir, clip(name)), What: what, Want: want, Warning: true})
}

// read takes up one file, and reports whether any user of the machine may have it.
func (l *look) read(dir, name string) (exposed bool) {
	file := filepath.Join(dir, name)
	data, mode, err := readFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Gone since it was listed, or a link to what is gone: Kubernetes swaps the
		// folder behind the links first and removes the links of old keys then.
		if _, err := os.Lstat(file); err == nil {
			l.oddity(dir, name, "is a link that leads nowhere, and counts as removed", "remove it, or restore what it names")
		}
		return false
	case errors.Is(err, errNoFile):
		l.oddity(dir, name, "is not read: it is no regular file", "put the credential into a file of this name, or move this away")
		return false
	case err != nil:
		l.bad[name] = Problem{Where: file, What: "cannot be read (" + cause(err) + ")", Want: "let this user read it; to revoke it, remove the file"}
		return false
	}
	secret, trouble := parseCredential(data, wantFile)
	if trouble != (Problem{}) {
		trouble.Where = file
		l.bad[name] = trouble
		return false
	}
	l.good[name] = secret
	return runtime.GOOS != "windows" && mode.Perm()&0o006 != 0
}

// errNoFile says that a folder, a pipe or a device stands where a file should.
var errNoFile = errors.New("not a regular file")

// readFile reads one byte more than a credential may have. It opens without
// waiting, because opening a pipe waits for whoever writes into it.
func readFile(file string) ([]byte, fs.FileMode, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat() // of what is open, not of what the name says by now
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errNoFile
	}
	data, err := io.ReadAll(io.LimitReader(f, maxCredential+2))
	return data, info.Mode(), err
}

// parseCredential is what a file or a variable holds. Its problem never repeats
// what was read: a broken credential is still one.
func parseCredential(data []byte, want string) (Secret, Problem) {
	no := func(format string, args ...any) (Secret, Problem) {
		return Secret{}, Problem{What: fmt.Sprintf(format, args...), Want: want}
	}
	text := bytes.TrimRight(data, "\r\n")
	switch {
	case len(text) == 0:
		return no("is empty")
	case len(text) > maxCredential || len(data) > maxCredential+2:
		return no("is longer than %d bytes", maxCredential)
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")) || bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")):
		return no("begins with a byte order mark, which an editor or a shell has put there")
	case bytes.ContainsAny(text, "\r\n"):
		return no("has several lines")
	case bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }):
		return no("holds control characters or others that no header can carry")
	case text[0] == ' ' || text[len(text)-1] == ' ':
		return no("begins or ends with a space")
	}
	return NewSecret(string(text)), Problem{}
}

// exposure warns of files that every user of the machine may read or change. It
// does not refuse them as the cluster secret's is refused: Kubernetes mounts
// secrets so unless it is told otherwise, and there is nobody else in a container.
func (l *look) exposure(dir string, names []string) {
	info, err := os.Stat(dir)
	if len(names) == 0 || err != nil || info.Mode().Perm()&0o001 == 0 {
		return // a folder that others cannot enter closes its files
	}
	const most = 3
	shown := strings.Join(names[:min(len(names), most)], ", ")
	if more := len(names) - most; more > 0 {
		shown += fmt.Sprintf(" and %d more", more)
	}
	l.odd = append(l.odd, Problem{Where: dir, Warning: true,
		What: "holds files that every user of this machine can read or change: " + shown,
		Want: "run `chmod 700` on it; in Kubernetes set defaultMode: 0400, or 0440 with an fsGroup"})
}

// missing are the names that were there and are not seen, good or bad.
func (l *look) missing(before map[string]Secret) bool {
	if l.err != nil {
		return false
	}
	for name := range before {
		if _, good := l.good[name]; good {
			continue
		}
		if _, bad := l.bad[name]; !bad {
			return true
		}
	}
	return false
}

// folderTrouble says what keeps the folder from being read.
func folderTrouble(err error) string { return "cannot be read (" + cause(err) + ")" }

// cause is an error without the path, which stands beside it already.
func cause(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}
