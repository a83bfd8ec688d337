package llm_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
)

// node is a JSON value as a strict decoder reads it, with where it stands.
type node struct {
	value      any // string, json.Number, bool, nil, []*node, map[string]*node
	start, end int
}

// strictly reads a document by encoding/json, with numbers as they are written. A
// name that comes twice at one level is an error, and so is anything behind the
// document.
func strictly(body []byte) (*node, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	n, err := decoded(dec, body)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("the document goes on: %v", err)
	}
	return n, nil
}

func decoded(dec *json.Decoder, body []byte) (*node, error) {
	n := &node{start: int(dec.InputOffset())}
	for bytes.IndexByte([]byte(" \t\r\n,:"), body[n.start]) >= 0 {
		n.start++
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		n.value, err = members(dec, body)
	case json.Delim('['):
		all := []*node{}
		for dec.More() {
			e, err := decoded(dec, body)
			if err != nil {
				return nil, err
			}
			all = append(all, e)
		}
		n.value = all
		_, err = dec.Token()
	default:
		n.value = token
	}
	n.end = int(dec.InputOffset())
	return n, err
}

func members(dec *json.Decoder, body []byte) (map[string]*node, error) {
	all := map[string]*node{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		if all[name.(string)] != nil {
			return nil, fmt.Errorf("%q is there twice", name)
		}
		if all[name.(string)], err = decoded(dec, body); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return all, err
}

// at is what stands under names, nil if nothing does, or a null.
func (n *node) at(names ...string) *node {
	for _, name := range names {
		if n == nil {
			return nil
		}
		m, _ := n.value.(map[string]*node)
		n = m[name]
	}
	if n == nil || n.value == nil {
		return nil
	}
	return n
}

// set puts a value under a name.
func (n *node) set(name string, value any) { n.value.(map[string]*node)[name] = &node{value: value} }

func (n *node) text() string {
	if n == nil {
		return ""
	}
	s, _ := n.value.(string)
	return s
}

func (n *node) yes() bool { return n != nil && n.value == true }

// number is a number in any spelling, or a string of one.
func (n *node) number() int64 {
	if n == nil {
		return 0
	}
	f, err := strconv.ParseFloat(fmt.Sprint(n.value), 64)
	if err != nil {
		return 0
	}
	return int64(f)
}

func (n *node) length() int { return len(n.elements()) }

func (n *node) elements() []*node {
	if n == nil {
		return nil
	}
	all, _ := n.value.([]*node)
	return all
}

// find is the value that stands at a span.
func (n *node) find(start, end int) *node {
	if n.start == start && n.end == end {
		return n
	}
	switch v := n.value.(type) {
	case []*node:
		for _, e := range v {
			if found := e.find(start, end); found != nil {
				return found
			}
		}
	case map[string]*node:
		for _, e := range v {
			if found := e.find(start, end); found != nil {
				return found
			}
		}
	}
	return nil
}

// differs says where two documents differ; "" where they do not.
func (n *node) differs(other *node, path string) string {
	switch v := n.value.(type) {
	case []*node:
		w, ok := other.value.([]*node)
		if !ok || len(v) != len(w) {
			return path
		}
		for i := range v {
			if where := v[i].differs(w[i], fmt.Sprintf("%s[%d]", path, i)); where != "" {
				return where
			}
		}
	case map[string]*node:
		w, ok := other.value.(map[string]*node)
		if !ok {
			return path
		}
		for name := range w {
			if v[name] == nil {
				return path + "." + name + " (more)"
			}
		}
		for name := range v {
			if w[name] == nil {
				return path + "." + name + " (missing)"
			}
			if where := v[name].differs(w[name], path+"."+name); where != "" {
				return where
			}
		}
	default:
		if n.value != other.value {
			return fmt.Sprintf("%s (%v, %v)", path, n.value, other.value)
		}
	}
	return ""
}
