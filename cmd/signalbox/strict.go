package main

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
)

// Duration is written <n>s, <n>m, <n>h, <n>d or <n>ms.
type Duration time.Duration

// Bytes is a size, written 8MiB, 512KiB, 1GiB or as a plain number.
type Bytes int64

// decodeStrict lays a YAML document over a struct. An unknown key, a wrong type
// or a second document is an error with line and column: a misspelt setting must
// not silently be the default.
func decodeStrict(file string, data []byte, into any) error {
	var doc yaml.Node
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	if err := dec.Decode(&doc); err != nil {
		if err.Error() == "EOF" {
			return nil // An empty file is all defaults.
		}
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := dec.Decode(new(yaml.Node)); err == nil {
		return fmt.Errorf("%s: more than one document; the configuration is one", file)
	}
	s := strict{file: file}
	s.value("", doc.Content[0], reflect.ValueOf(into).Elem())
	return errors.Join(s.problems...)
}

type strict struct {
	file     string
	problems []error
}

func (s *strict) wrong(n *yaml.Node, format string, args ...any) {
	s.problems = append(s.problems, fmt.Errorf("%s:%d:%d: %s", s.file, n.Line, n.Column, fmt.Sprintf(format, args...)))
}

func (s *strict) value(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // "key:" with nothing behind it keeps the default
	}
	switch {
	case v.Kind() == reflect.Struct:
		s.mapping(path, n, v)
	case v.Kind() == reflect.Slice:
		s.list(path, n, v)
	case n.Kind != yaml.ScalarNode:
		s.wrong(n, "%s: want one value", path)
	default:
		if err := setScalar(v, n.Value); err != nil {
			s.wrong(n, "%s: %s", path, err)
		}
	}
}

func (s *strict) mapping(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		s.wrong(n, "%s: want keys and values", strings.TrimPrefix(path, "."))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name := strings.TrimPrefix(path+"."+key.Value, ".")
		field, known := fieldNamed(v, key.Value)
		switch {
		case !known:
			s.wrong(key, "unknown key %q; want one of %s", name, strings.Join(fieldNames(v.Type()), ", "))
		case seen[key.Value]:
			s.wrong(key, "%s stands twice", name)
		default:
			s.value(name, value, field)
		}
		seen[key.Value] = true
	}
}

func (s *strict) list(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		s.wrong(n, "%s: want a list", path)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		s.value(fmt.Sprintf("%s[%d]", path, i), item, v.Index(i))
	}
}

func fieldNamed(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == name && name != "-" {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// setScalar reads one value as the field's type wants it written.
func setScalar(v reflect.Value, text string) error {
	switch v.Interface().(type) {
	case Duration:
		d, err := parseDuration(text)
		if err != nil {
			return err
		}
		v.SetInt(int64(d))
		return nil
	case Bytes:
		b, err := parseBytes(text)
		if err != nil {
			return err
		}
		v.SetInt(b)
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(int64(n))
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q; want true or false", text)
		}
		v.SetBool(b)
	default:
		return fmt.Errorf("cannot be set to %q", text)
	}
	return nil
}

// parseDuration reads <n>ms|s|m|h|d. Waits are milliseconds; nothing else in the
// contract is.
func parseDuration(text string) (time.Duration, error) {
	if digits, ok := strings.CutSuffix(text, "ms"); ok {
		if n, err := strconv.ParseInt(digits, 10, 32); err == nil && n >= 0 {
			return time.Duration(n) * time.Millisecond, nil
		}
	}
	d, err := adminapi.ParseDuration(text)
	return time.Duration(d), err
}

func parseBytes(text string) (int64, error) {
	shift := 0
	digits := text
	for i, suffix := range []string{"KiB", "MiB", "GiB"} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			digits, shift = rest, 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return 0, fmt.Errorf("%q is not a size; want a number and KiB, MiB or GiB, such as 8MiB", text)
	}
	return n << shift, nil
}

// overlayEnv lays SIGNALBOX_<PATH_IN_CAPITALS> over the file. A list is written
// with commas.
func overlayEnv(env []string, into any) error {
	var problems []error
	settings := map[string]reflect.Value{}
	settingsOf("SIGNALBOX", reflect.ValueOf(into).Elem(), settings)
	for _, kv := range env {
		name, text, _ := strings.Cut(kv, "=")
		v, ok := settings[name]
		if !ok {
			continue
		}
		if v.Kind() == reflect.Slice {
			v.Set(reflect.ValueOf(slices.DeleteFunc(strings.Split(text, ","), func(s string) bool { return s == "" })))
			continue
		}
		if err := setScalar(v, text); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(problems...)
}

func settingsOf(prefix string, v reflect.Value, into map[string]reflect.Value) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name := field.Tag.Get("yaml")
		if env := field.Tag.Get("env"); env != "" {
			name = env
		}
		if name == "-" {
			continue
		}
		path := prefix + "_" + strings.ToUpper(name)
		if v.Field(i).Kind() == reflect.Struct {
			settingsOf(path, v.Field(i), into)
			continue
		}
		into[path] = v.Field(i)
	}
}

// effective prints the configuration as it holds, secrets hidden.
func effective(v reflect.Value, indent string) string {
	var b strings.Builder
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name := field.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		switch value := v.Field(i).Interface().(type) {
		case Secret:
			fmt.Fprintf(&b, "%s%s: {file: %q, value: %s}\n", indent, name, value.File, hidden(value.Value))
		case DSN:
			fmt.Fprintf(&b, "%s%s: %s\n", indent, name, hidden(string(value)))
		case Duration:
			fmt.Fprintf(&b, "%s%s: %s\n", indent, name, time.Duration(value))
		case Bytes:
			fmt.Fprintf(&b, "%s%s: %d\n", indent, name, int64(value))
		case []string:
			fmt.Fprintf(&b, "%s%s: [%s]\n", indent, name, strings.Join(value, ", "))
		default:
			if v.Field(i).Kind() == reflect.Struct {
				fmt.Fprintf(&b, "%s%s:\n%s", indent, name, effective(v.Field(i), indent+"  "))
				continue
			}
			fmt.Fprintf(&b, "%s%s: %v\n", indent, name, value)
		}
	}
	return b.String()
}

func hidden(secret string) string {
	if secret == "" {
		return `""`
	}
	return "(hidden)"
}
