package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds of what one apply reads.
const (
	maxFileBytes  = 8 << 20
	maxFiles      = 1000
	maxTotalBytes = 32 << 20
	// maxDense bounds the values that a file can hold before any of them is
	// built: a parsed value takes some 200 bytes, written it may take two.
	maxDense = 2_000_000
	// maxObject bounds one object's record in the journal.
	maxObject = 64 << 10
)

// declared is an object as a file declares it, and where each of its fields stands.
type declared struct {
	value value
	json  []byte
	file  string
	at    map[string]*yaml.Node
}

// spot is a field of an object, and of a list the element with this value.
type spot struct{ field, value string }

// place is where a spot stands, or the object itself.
func (d *declared) place(at spot) *yaml.Node {
	n := d.at[at.field]
	if n == nil {
		return d.at[""]
	}
	if n.Kind == yaml.SequenceNode {
		for _, e := range n.Content {
			if e.Kind == yaml.AliasNode && e.Alias != nil {
				e = e.Alias
			}
			if e.Kind == yaml.ScalarNode && e.Value == at.value {
				return e
			}
		}
	}
	return n
}

// source is everything that the files of one apply declare.
type source struct {
	files    []File
	objects  map[objectID]*declared
	order    []*declared
	sections map[string]bool // kinds whose section some file has
}

// parse reads the files. What it returns is whole only if no problem was found,
// but it is always enough to look for more problems in.
func parse(files []File, found *problems) *source {
	s := &source{files: files, objects: map[objectID]*declared{}, sections: map[string]bool{}}
	r := &reader{problems: found}
	total := 0
	for i, f := range files {
		if total += len(f.Data); i >= maxFiles || total > maxTotalBytes {
			found.add(Problem{File: f.Name, Line: 1, Column: 1, What: fmt.Sprintf("more than %d files or %d MiB in one apply", maxFiles, maxTotalBytes>>20), Want: "apply them in parts"})
			break
		}
		r.file = f.Name
		s.file(r, f)
	}
	if len(files) == 0 {
		found.add(Problem{File: "registry.yaml", Line: 1, Column: 1, What: "there is no file to apply", Want: "name one that declares something"})
	}
	return s
}

// file reads one file's documents. A file that declares nothing is refused: it
// is a file that was cut short, or never filled, far more often than a wish.
func (s *source) file(r *reader, f File) {
	docs := r.documents(f.Data)
	if docs == nil {
		return // said already
	}
	before := len(s.order)
	problemsBefore := len(r.problems.list)
	for _, doc := range docs {
		if doc.Kind == yaml.ScalarNode && doc.Tag == "!!null" {
			continue
		}
		s.document(r, doc)
	}
	if len(s.order) == before && len(r.problems.list) == problemsBefore {
		r.problems.add(Problem{File: f.Name, Line: 1, Column: 1, What: "the file declares nothing", Want: "write at least one object, such as tenants: [{name: acme}]"})
	}
}

func (s *source) document(r *reader, doc *yaml.Node) {
	m := r.mapping(doc, "file")
	for _, k := range kinds() {
		if k.section == "" {
			continue
		}
		n := m.field(k.section, false)
		if n == nil {
			continue
		}
		s.sections[k.name] = true
		if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
			continue // "budgets:" with everything below it commented out
		}
		if n.Kind != yaml.SequenceNode {
			r.problem(n, "write a list: each object on a line of its own that begins with \"- \"", "%s is %s", k.section, kindOf(n))
			continue
		}
		for _, e := range n.Content {
			if !r.tired() {
				s.declare(r, k, e)
			}
		}
	}
	m.done()
}

// declare reads one object and keeps it unless another has its name.
func (s *source) declare(r *reader, k kind, n *yaml.Node) {
	before := len(r.problems.list)
	m := r.mapping(n, k.name)
	v := k.read(m)
	m.done()
	id := v.id()
	d := &declared{value: v, file: r.file, at: m.at}
	if len(r.problems.list) > before {
		// Too broken to write, and still declared: that the objects which refer to
		// it do so in vain would be the second message for one mistake.
		d.json = nil
	} else if d.json = r.encode(n, v); d.json == nil {
		return
	}
	if id.Name == "" {
		return
	}
	if first, twice := s.objects[id]; twice {
		if d.json != nil {
			r.problem(m.node, "give one of them another name, or keep one", "%s is declared twice, first in %s:%d", id, first.file, first.at[""].Line)
		}
		return
	}
	s.objects[id] = d
	s.order = append(s.order, d)
}

func (r *reader) encode(n *yaml.Node, v value) []byte {
	b, err := encode(v)
	switch {
	case err != nil:
		r.problem(n, "write printable text", "%s", err)
	case len(b) > maxObject:
		r.problem(n, fmt.Sprintf("write up to %d KiB an object", maxObject>>10), "%s is %d KiB long", v.id(), len(b)>>10)
	default:
		return b
	}
	return nil
}

// documents parses YAML into its documents' root nodes; nil when that failed,
// which is then reported.
func (r *reader) documents(data []byte) []*yaml.Node {
	if p, bad := unreadable(data); bad {
		p.File = r.file
		r.problems.add(p)
		return nil
	}
	docs, err := parseYAML(data)
	if err != nil {
		line, what := yamlError(err)
		r.problems.add(Problem{File: r.file, Line: line, Column: 1, What: "not YAML: " + what, Want: "look at the indentation, quotes and brackets on this line and the one before"})
		return nil
	}
	return docs
}

// parseYAML guards the parser: it reads what strangers wrote, and a panic in it
// must be no more than a file that cannot be read.
func parseYAML(data []byte) (docs []*yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			docs, err = nil, fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	docs = []*yaml.Node{}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			return docs, nil
		} else if err != nil {
			return nil, err
		}
		if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
			docs = append(docs, doc.Content[0])
		}
	}
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?((?s).*)$`)

// yamlError takes the line out of the parser's message.
func yamlError(err error) (line int, what string) {
	parts := yamlLine.FindStringSubmatch(err.Error())
	line, _ = strconv.Atoi(parts[1])
	return max(line, 1), clip(parts[2])
}

// unreadable finds what makes a file no text of ours before it is parsed: the
// parser's own messages for these name no line.
func unreadable(data []byte) (Problem, bool) {
	if len(data) > maxFileBytes {
		return Problem{Line: 1, Column: 1, What: fmt.Sprintf("the file is %d MiB long", len(data)>>20), Want: fmt.Sprintf("write up to %d MiB a file", maxFileBytes>>20)}, true
	}
	line, start, dense := 1, 0, 0
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		if c == utf8.RuneError && size == 1 || c < 0x20 && c != '\n' && c != '\r' && c != '\t' || c == 0x7f || c == 0xfffe || c == 0xffff {
			column := 1 + utf8.RuneCount(data[start:i])
			return Problem{Line: line, Column: column, What: fmt.Sprintf("the byte 0x%02x is not text", data[i]), Want: "write the file in UTF-8, control characters as \"\\x…\" in quotes"}, true
		}
		switch c {
		case '\n':
			line, start = line+1, i+1
			dense++
		case ',', '[', '{', '?', ':':
			dense++
		case '-':
			if i+1 < len(data) && data[i+1] == ' ' {
				dense++
			}
		}
		if dense > maxDense {
			return Problem{Line: line, Column: 1, What: fmt.Sprintf("the file holds more than %d values", maxDense), Want: "split it"}, true
		}
		i += size
	}
	return Problem{}, false
}
