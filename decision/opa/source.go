package opa

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/open-policy-agent/opa/v1/util"

	"github.com/signalbox-dev/signalbox/deploy/policies"
)

// The bounds of a policy's folder. They are far above any policy written by hand:
// what they stop is a folder named by mistake.
const (
	sourceFiles = 1000
	sourceBytes = 16 << 20
	sourceDepth = 16
)

// source is a policy's folder as it was read, before any of it is understood.
type source struct {
	name     string         // where it was read from
	rego     []sourceFile   // tests left out, in the order of their paths
	data     map[string]any // of all data files, each below the names of its folders
	revision string         // as its author numbers it, in .manifest
	sum      string         // of everything above
}

type sourceFile struct {
	name string // as the operator can open it
	text []byte
}

// defaultSource is the policy that the binary carries.
func defaultSource() (*source, error) {
	files, err := policies.Default()
	if err != nil {
		return nil, fmt.Errorf("open the default policy: %w", err)
	}
	return readSource(files, "deploy/policies/default")
}

// readSource reads the .rego files, the data files (data.json, data.yaml) and the
// .manifest of a folder and the folders in it, as `opa test -b` does. Of what is
// hidden only the manifest is read: editors leave backups there, and Kubernetes
// the versions of a mounted ConfigMap, whose files are links into them.
func readSource(files fs.FS, name string) (*source, error) {
	r := &sourceReader{files: files, source: &source{name: name, data: map[string]any{}}}
	if err := r.folder(".", 0); err != nil {
		return nil, err
	}
	if err := refused(r.problems); err != nil {
		return nil, err
	}
	if len(r.source.rego) == 0 {
		return nil, refused([]Problem{{File: name, Message: "holds no .rego file; write one, or name no folder to decide by the default policy alone"}})
	}
	r.source.sum = r.hash()
	return r.source, nil
}

type sourceReader struct {
	files    fs.FS
	source   *source
	read     []sourceFile // that count for the revision
	count    int
	bytes    int64
	problems []Problem
}

func (r *sourceReader) folder(dir string, depth int) error {
	if depth > sourceDepth {
		return refused([]Problem{{File: r.shown(dir), Message: fmt.Sprintf("lies deeper than %d folders", sourceDepth)}})
	}
	entries, err := fs.ReadDir(r.files, dir)
	if err != nil {
		return fmt.Errorf("read policy folder %s: %w", r.source.name, err)
	}
	for _, entry := range entries { // sorted by name
		file := path.Join(dir, entry.Name())
		switch {
		case strings.HasPrefix(entry.Name(), ".") && file != ".manifest":
		case entry.IsDir():
			err = r.folder(file, depth+1)
		case entry.Type()&fs.ModeSymlink != 0:
			err = r.link(file)
		case entry.Type().IsRegular():
			err = r.file(file)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// link follows a link to a file. One to a folder is refused: it may lead in a
// circle, and passing it over could leave out the rule that denies.
func (r *sourceReader) link(file string) error {
	info, err := fs.Stat(r.files, file)
	if err != nil {
		return fmt.Errorf("read policy file %s: %w", r.shown(file), err)
	}
	if info.IsDir() {
		r.problem(file, "is a link to a folder, which is not followed; put the folder itself here")
		return nil
	}
	return r.file(file)
}

func (r *sourceReader) file(file string) error {
	base := path.Base(file)
	switch {
	case strings.HasSuffix(base, "_test.rego"):
		return nil // `opa test` runs these; a decision never does
	case strings.HasSuffix(base, ".rego"), base == "data.json", base == "data.yaml", base == "data.yml", base == ".manifest":
	default:
		return nil
	}
	text, err := r.text(file)
	if err != nil {
		return err
	}
	f := sourceFile{name: r.shown(file), text: text}
	r.read = append(r.read, sourceFile{name: file, text: text})
	switch {
	case base == ".manifest":
		r.manifest(f)
	case strings.HasSuffix(base, ".rego"):
		r.source.rego = append(r.source.rego, f)
	default:
		r.dataFile(path.Dir(file), f)
	}
	return nil
}

func (r *sourceReader) text(file string) ([]byte, error) {
	opened, err := r.files.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read policy file: %w", err)
	}
	defer opened.Close()
	text, err := io.ReadAll(io.LimitReader(opened, sourceBytes-r.bytes+1))
	if err != nil {
		return nil, fmt.Errorf("read policy file %s: %w", r.shown(file), err)
	}
	r.count++
	r.bytes += int64(len(text))
	if r.count > sourceFiles || r.bytes > sourceBytes {
		return nil, refused([]Problem{{File: r.source.name, Message: fmt.Sprintf(
			"holds more than %d files or %d MiB of policy; is it the folder you meant?", sourceFiles, sourceBytes>>20)}})
	}
	return text, nil
}

// manifest takes the author's own number of the policy. The rest of a manifest is
// for bundle servers.
func (r *sourceReader) manifest(f sourceFile) {
	var manifest struct {
		Revision string `json:"revision"`
	}
	if err := json.Unmarshal(f.text, &manifest); err != nil {
		r.problems = append(r.problems, Problem{File: f.name, Message: "is not JSON: " + err.Error()})
		return
	}
	const longest = 64
	if len(manifest.Revision) > longest || strings.ContainsFunc(manifest.Revision, func(c rune) bool { return c <= ' ' || c > '~' }) {
		r.problems = append(r.problems, Problem{File: f.name, Message: fmt.Sprintf("revision: want at most %d printable characters without spaces", longest)})
		return
	}
	r.source.revision = manifest.Revision
}

// dataFile puts a data file's document below the names of its folders.
func (r *sourceReader) dataFile(dir string, f sourceFile) {
	var document map[string]any
	if err := util.Unmarshal(f.text, &document); err != nil { // JSON and YAML
		r.problems = append(r.problems, Problem{File: f.name, Message: "is not a JSON or YAML object: " + err.Error()})
		return
	}
	at := r.source.data
	if dir != "." {
		for _, name := range strings.Split(dir, "/") {
			next, ok := at[name].(map[string]any)
			if _, taken := at[name]; taken && !ok {
				r.problems = append(r.problems, Problem{File: f.name, Message: "data." + strings.ReplaceAll(dir, "/", ".") + " has a value in another data file already"})
				return
			}
			if !ok {
				next = map[string]any{}
				at[name] = next
			}
			at = next
		}
	}
	for name, value := range document {
		if !merge(at, name, value) {
			r.problems = append(r.problems, Problem{File: f.name, Message: fmt.Sprintf("%q has a value in another data file already", name)})
		}
	}
}

// merge adds a value; two objects become one, and anything else twice is refused.
func merge(into map[string]any, name string, value any) bool {
	old, taken := into[name]
	if !taken {
		into[name] = value
		return true
	}
	a, ok1 := old.(map[string]any)
	b, ok2 := value.(map[string]any)
	if !ok1 || !ok2 {
		return false
	}
	for key, member := range b {
		if !merge(a, key, member) {
			return false
		}
	}
	return true
}

// hash is what tells one content of the folder from another.
func (r *sourceReader) hash() string {
	sum := sha256.New()
	for _, f := range r.read {
		fmt.Fprintf(sum, "%d %s %d\n", len(f.name), f.name, len(f.text))
		sum.Write(f.text)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func (r *sourceReader) shown(file string) string { return filepath.Join(r.source.name, file) }

func (r *sourceReader) problem(file, message string) {
	r.problems = append(r.problems, Problem{File: r.shown(file), Message: message})
}

// ownSource reads the operator's folder; "" is none.
func ownSource(dir string) (*source, error) {
	if dir == "" {
		return nil, nil
	}
	own, err := readSource(os.DirFS(dir), dir)
	if errors.Is(err, fs.ErrNotExist) {
		if _, gone := os.Stat(dir); gone != nil {
			return nil, refused([]Problem{{File: dir, Message: "there is no such policy folder; make it, or name none to decide by the default policy alone"}})
		}
	}
	return own, err
}
