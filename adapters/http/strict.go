package http

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/signalbox-dev/signalbox/adapters/door"
)

// readStrict reads one JSON document into a struct. encoding/json would take
// unknown fields, the last of two equal keys, names in any case and broken
// UTF-8, each of which lets a question mean one thing to its writer and another
// to us. Messages name the place and what is wanted; they never quote a value.
func readStrict(document []byte, into any) *door.Problem {
	err := json.Unmarshal(document, into, json.RejectUnknownMembers(true), json.MatchCaseInsensitiveNames(false),
		jsontext.AllowDuplicateNames(false), jsontext.AllowInvalidUTF8(false))
	if err == nil {
		return nil
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return badEnvelope(dotted(syntax.JSONPointer), sayWhy(syntax, document))
	}
	if meaning, ok := errors.AsType[*json.SemanticError](err); ok {
		return badEnvelope(dotted(meaning.JSONPointer), sayWanted(meaning))
	}
	return badEnvelope("", "want one JSON document")
}

func badEnvelope(where, message string) *door.Problem {
	return &door.Problem{Kind: door.BadEnvelope, Where: where, Message: message}
}

// sayWhy explains what is not JSON.
func sayWhy(e *jsontext.SyntacticError, document []byte) string {
	switch {
	case len(bytes.TrimSpace(document)) == 0:
		return "want a JSON document; the request has no body"
	case errors.Is(e.Err, jsontext.ErrDuplicateName):
		return "this key stands twice"
	case errors.Is(e.Err, io.ErrUnexpectedEOF) || errors.Is(e.Err, io.EOF):
		return "the JSON ends too early"
	case isNotText(e.Err):
		if e.JSONPointer == "/request/body" {
			return "the body is not UTF-8 (or holds half a surrogate pair), which a JSON string cannot carry byte for byte: send it as body_base64"
		}
		return "not UTF-8, or half a surrogate pair"
	}
	return "not JSON at byte " + itoa(e.ByteOffset)
}

// isNotText recognises what the JSON library says of strings that have no UTF-8
// form. It has no exported error for the two; a test pins the words.
func isNotText(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "invalid UTF-8") || strings.Contains(err.Error(), "surrogate pair"))
}

// sayWanted explains a value of the wrong kind.
func sayWanted(e *json.SemanticError) string {
	if errors.Is(e.Err, json.ErrUnknownName) {
		return "unknown field"
	}
	if e.JSONPointer == "/request/body" {
		return "want a string: the caller's body as it came, byte for byte"
	}
	if e.GoType == nil {
		return "not what belongs here"
	}
	t := e.GoType
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "want a string"
	case reflect.Bool:
		return "want true or false"
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "want a whole number"
	case reflect.Struct, reflect.Map:
		return "want an object"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 && t.Name() == "" {
			return "want base64 with padding"
		}
		if t.Elem().Kind() == reflect.Uint8 {
			return "want an object"
		}
		return "want an array"
	}
	return "not what belongs here"
}

// dotted spells a JSON pointer as people write fields, with long names cut: a
// gateway that is broken enough can put a prompt where a name belongs.
func dotted(p jsontext.Pointer) string {
	const most = 40
	var b strings.Builder
	for token := range p.Tokens() {
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		if len(token) > most {
			token = strings.ToValidUTF8(token[:most], "") + "…"
		}
		b.WriteString(token)
	}
	return b.String()
}

// writeJSON spells a value of ours. Keys of maps are sorted so that equal answers
// are equal bytes, and nothing is escaped that JSON does not need escaped.
func writeJSON(value any) ([]byte, error) {
	return json.Marshal(value, json.Deterministic(true))
}
