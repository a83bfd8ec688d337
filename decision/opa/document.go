package opa

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
)

// documentOf reads the form of a verdict: schema/verdict.json, in Go. Each error
// names the field.
func documentOf(result *ast.Term) (verdictDocument, error) {
	var d verdictDocument
	said := false
	err := eachMember("verdict", result, 0, func(name string, value *ast.Term) (err error) {
		at := "verdict." + name
		switch name {
		case "allow":
			said = true
			d.Allow, err = readTruth(at, value)
		case "reasons":
			err = eachElement(at, value, maxReasons, func(at string, value *ast.Term) error {
				reason, err := readReason(at, value)
				d.Reasons = append(d.Reasons, reason)
				return err
			})
		case "deployments":
			if _, set := value.Value.(ast.Set); set {
				return fmt.Errorf("%s: is a set, and a set has no order; want an array, best first", at)
			}
			d.Deployments, err = readTexts(at, value, maxDeployments)
		case "model":
			d.Model, err = readText(at, value, maxText)
		case "max_output":
			d.MaxOutput, err = readNumber(at, value, 0, maxOutput)
		case "attempts":
			d.Attempts, err = readNumber(at, value, 1, maxAttempts)
		case "allow_clamp":
			d.AllowClamp, err = readTruth(at, value)
		case "redact":
			d.Redact, err = readTexts(at, value, maxKinds)
		case "capture":
			d.Capture, err = readCapture(at, value)
		case "tags":
			d.Tags, err = readTags(at, value)
		default:
			err = unknown(at)
		}
		return err
	})
	if err == nil && !said {
		err = fmt.Errorf("verdict.allow: is missing")
	}
	return d, err
}

var codeForm = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func readReason(at string, value *ast.Term) (reasonDocument, error) {
	var r reasonDocument
	err := eachMember(at, value, 0, func(name string, value *ast.Term) (err error) {
		switch name {
		case "code":
			r.Code, err = readText(at+".code", value, maxCode)
			if err == nil && !codeForm.MatchString(r.Code) {
				err = fmt.Errorf("%s.code: %q is no code; want a-z, 0-9 and _, a letter first", at, r.Code)
			}
		case "message":
			r.Message, err = readText(at+".message", value, maxMessage)
		default:
			err = unknown(at + "." + name)
		}
		return err
	})
	if err == nil && r.Code == "" {
		err = fmt.Errorf("%s.code: is missing", at)
	}
	return r, err
}

func readCapture(at string, value *ast.Term) (string, error) {
	capture, err := readText(at, value, maxText)
	if err == nil && !slices.Contains([]string{"none", "hash", "redacted", "full"}, capture) {
		err = fmt.Errorf("%s: %q is none of none, hash, redacted, full", at, capture)
	}
	return capture, err
}

func readTags(at string, value *ast.Term) (map[string]string, error) {
	var tags map[string]string
	err := eachMember(at, value, maxTags, func(name string, value *ast.Term) error {
		if name == "" || utf8.RuneCountInString(name) > maxText {
			return fmt.Errorf("%s: a name is empty or longer than %d characters", at, maxText)
		}
		text, err := readText(fmt.Sprintf("%s[%q]", at, name), value, maxText)
		if tags == nil {
			tags = map[string]string{}
		}
		tags[name] = text
		return err
	})
	return tags, err
}

// eachMember reads an object; most is how many members it may have, 0: as many as
// have a name we know.
func eachMember(at string, value *ast.Term, most int, read func(string, *ast.Term) error) error {
	object, ok := value.Value.(ast.Object)
	if !ok {
		return wants(at, "an object", value)
	}
	if most > 0 && object.Len() > most {
		return fmt.Errorf("%s: has %d members; the most is %d", at, object.Len(), most)
	}
	return object.Iter(func(key, value *ast.Term) error {
		name, ok := key.Value.(ast.String)
		if !ok {
			return wants(at, "names that are strings", key)
		}
		return read(string(name), value)
	})
}

// eachElement reads an array, or a set in the order of its values.
func eachElement(at string, value *ast.Term, most int, read func(string, *ast.Term) error) error {
	i := 0
	one := func(element *ast.Term) error {
		i++
		return read(fmt.Sprintf("%s[%d]", at, i-1), element)
	}
	switch list := value.Value.(type) {
	case *ast.Array:
		if list.Len() > most {
			return fmt.Errorf("%s: has %d elements; the most is %d", at, list.Len(), most)
		}
		return list.Iter(one)
	case ast.Set:
		if list.Len() > most {
			return fmt.Errorf("%s: has %d elements; the most is %d", at, list.Len(), most)
		}
		return list.Iter(one)
	}
	return wants(at, "an array", value)
}

func readTexts(at string, value *ast.Term, most int) ([]string, error) {
	var texts []string
	err := eachElement(at, value, most, func(at string, value *ast.Term) error {
		text, err := readText(at, value, maxText)
		switch {
		case err != nil:
			return err
		case text == "":
			return fmt.Errorf("%s: is empty", at)
		case slices.Contains(texts, text):
			return fmt.Errorf("%s: names %q a second time", at, text)
		}
		texts = append(texts, text)
		return nil
	})
	return texts, err
}

func readText(at string, value *ast.Term, most int) (string, error) {
	text, ok := value.Value.(ast.String)
	if !ok {
		return "", wants(at, "a string", value)
	}
	if n := utf8.RuneCountInString(string(text)); n > most {
		return "", fmt.Errorf("%s: has %d characters; the most is %d", at, n, most)
	}
	return string(text), nil
}

func readTruth(at string, value *ast.Term) (bool, error) {
	truth, ok := value.Value.(ast.Boolean)
	if !ok {
		return false, wants(at, "true or false", value)
	}
	return bool(truth), nil
}

func readNumber(at string, value *ast.Term, least, most int64) (int64, error) {
	number, ok := value.Value.(ast.Number)
	if !ok {
		return 0, wants(at, "a whole number", value)
	}
	n, ok := number.Int64()
	if !ok || n < least || n > most {
		return 0, fmt.Errorf("%s: want a whole number from %d to %d, got %s", at, least, most, clip(number.String()))
	}
	return n, nil
}

func wants(at, want string, got *ast.Term) error {
	return fmt.Errorf("%s: want %s, got %s", at, want, ast.ValueName(got.Value))
}

func unknown(at string) error { return fmt.Errorf("%s: is no field of a verdict", clip(at)) }

// clip keeps a value that a policy made up out of proportion from filling a log.
func clip(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}
