package follow

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// member is one named value of an object, both as they are spelt.
type member struct{ name, value []byte }

// members reads an object. A name that comes twice is an error.
func members(object []byte) ([]member, error) {
	var all []member
	d := jsontext.NewDecoder(bytes.NewReader(object))
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		name = name.Clone()
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		all = append(all, member{name, value.Clone()})
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one object")
	}
	return all, nil
}

// overlay puts what was said later over what was said first, figure by figure:
// Anthropic tells the prompt's at the beginning and the output's at the end, where
// it may correct the prompt's. A null takes nothing back, and nor does a zero for
// the prompt: a prompt that was read does not become unread, but servers that
// imitate the dialect fill the field so.
func overlay(first, later []byte) ([]byte, error) {
	under, err := members(first)
	if err != nil {
		return nil, err
	}
	over, err := members(later)
	if err != nil {
		return nil, err
	}
	for _, m := range over {
		at := -1
		for i := range under {
			if bytes.Equal(under[i].name, m.name) {
				at = i
			}
		}
		switch {
		case at < 0:
			under = append(under, m)
		case string(m.value) == "null":
		case string(m.value) == "0" && string(m.name) != `"output_tokens"`:
		default:
			under[at].value = m.value
		}
	}
	merged := []byte{'{'}
	for i, m := range under {
		if i > 0 {
			merged = append(merged, ',')
		}
		merged = append(append(append(merged, m.name...), ':'), m.value...)
	}
	return append(merged, '}'), nil
}

// beside is a document with the figures and with the tier that stood beside them.
func beside(figures, tier []byte) []byte {
	d := append([]byte(`{"usage":`), figures...)
	if len(tier) > 0 {
		d = append(d, `,"service_tier":"`...)
		d = append(append(d, tier...), '"')
	}
	return append(d, '}')
}
