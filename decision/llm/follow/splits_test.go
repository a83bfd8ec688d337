package follow_test

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// Where the bytes of an answer are cut changes neither what is relayed nor what is
// known at the end.
func TestSplitsNeverMatter(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range samples {
		for _, ends := range []string{"\n", "\r\n", "\r"} {
			text := sample(t, c.name)
			kind := typeOf(c.name)
			if kind == sse {
				text = strings.ReplaceAll(text, "\n", ends)
			} else if ends != "\n" {
				continue
			}
			want := whole(c.asked, kind, text)
			check := func(pieces []string) {
				t.Helper()
				got := relay(newAnswer(c.asked, kind), pieces, true)
				if got.text != want.text || got.before != want.before || got.times != 1 ||
					!reflect.DeepEqual(got.settled, want.settled) || !reflect.DeepEqual(got.last, want.last) {
					t.Fatalf("%s with %q, cut into %.60q:\n got %+v\nwant %+v", c.name, ends, pieces, got, want)
				}
			}
			check(bytesOf(text))
			step := 1
			if len(text) > 2000 {
				step = 7 // no divisor of anything in there
			}
			for i := 0; i < len(text); i += step {
				check([]string{text[:i], text[i:]})
			}
			for range 50 {
				check(randomly(random, text))
			}
		}
	}
}

const small = ": hi\r\n\r\ndata:{\"choices\":[{\"delta\":{\"content\":\"\\u00e9\"},\"finish_reason\":\"stop\"}]}\n\n" +
	"id: 1\rdata: {\"choices\":[],\rdata:\"us\\u0061ge\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\r\r\ndata: [DONE]\r\n\r\n"

func TestNoPairOfSplitsMatters(t *testing.T) {
	for _, clean := range []bool{true, false} {
		want := relay(newAnswer(chatHiding, sse), []string{small}, clean)
		if strings.Contains(want.text, "prompt_tokens") || !want.settled.told || !want.settled.complete {
			t.Fatalf("%+v", want)
		}
		for i := range small {
			for j := i; j <= len(small); j++ {
				got := relay(newAnswer(chatHiding, sse), []string{small[:i], small[i:j], small[j:]}, clean)
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("cut at %d and %d:\n got %+v\nwant %+v", i, j, got, want)
				}
			}
		}
	}
}

// An event goes out with the line end that ends it, and no byte before it has to
// wait longer.
func TestAnEventNeverWaitsBeyondItsBlankLine(t *testing.T) {
	for _, c := range samples {
		if typeOf(c.name) != sse {
			continue
		}
		for _, ends := range []string{"\n", "\r\n", "\r"} {
			a := newAnswer(c.asked, sse)
			var out strings.Builder
			for _, event := range strings.SplitAfter(sample(t, c.name), "\n\n") {
				event = strings.ReplaceAll(event, "\n", ends)
				if c.without != "" && strings.Contains(event, c.without) {
					a.Write([]byte(event))
					continue
				}
				for _, b := range bytesOf(strings.TrimSuffix(event, "\n")) {
					out.Write(a.Write([]byte(b)))
				}
				if strings.HasPrefix(event, c.end) {
					if out.Write(a.Write([]byte("\n"))); strings.Contains(out.String(), c.end) {
						t.Fatalf("%s with %q: the end went out", c.name, ends)
					}
					break
				}
				if ends == "\r\n" { // the CR ended it, and its LF has nothing to wait for
					if rest := string(a.Write([]byte("\n"))); rest != "\n" {
						t.Fatalf("%s: a line feed waits: %q", c.name, rest)
					}
					out.WriteString("\n")
				} else if ends == "\n" {
					out.Write(a.Write([]byte("\n")))
				}
				if got := out.String(); !strings.HasSuffix(got, event) {
					t.Fatalf("%s with %q: %q still waits", c.name, ends, event)
				}
			}
			if !a.Ended() && c.name != "messages_late.sse" { // which lacks its last blank line
				t.Errorf("%s with %q has not ended", c.name, ends)
			}
		}
	}
}

// Documents pass as they come, but for the last byte.
func TestADocumentNeverWaitsBeyondItsLastByte(t *testing.T) {
	for _, c := range samples {
		if typeOf(c.name) != plainJSON {
			continue
		}
		text := strings.TrimSpace(sample(t, c.name))
		a := newAnswer(c.asked, plainJSON)
		for i, b := range bytesOf(text[:len(text)-1]) {
			if got := string(a.Write([]byte(b))); got != b || a.Ended() {
				t.Fatalf("%s: %q gives %q at %d, ended %v", c.name, b, got, i, a.Ended())
			}
		}
		if got := a.Write([]byte("}\n")); len(got) > 0 || !a.Ended() || string(a.Release()) != "}\n" {
			t.Errorf("%s: the last byte gives %q, ended %v", c.name, got, a.Ended())
		}
	}
}

// A stream that breaks off at any byte has relayed each byte once, its figures are
// those of the whole or unknown, and what was seen only grows and stays below what
// the whole shows.
func TestBrokenOffAnywhere(t *testing.T) {
	for _, c := range samples {
		text := sample(t, c.name)
		whole := whole(c.asked, typeOf(c.name), text)
		seen := int64(-1)
		for i := range text {
			got := relay(newAnswer(c.asked, typeOf(c.name)), []string{text[:i]}, false)
			if c.without == "" && got.text != text[:i] {
				t.Fatalf("%s broken off at %d: relayed %q", c.name, i, got.text)
			}
			if c.without != "" {
				// That it would be usage shows when its figures begin.
				if _, rest, found := strings.Cut(got.text, c.without); found && strings.Contains(c.without+rest, `"usage":{`) {
					t.Fatalf("%s broken off at %d: the usage was relayed", c.name, i)
				}
			}
			if v := got.settled; v.told && !reflect.DeepEqual(v.used, whole.settled.used) || v.complete && !whole.settled.complete {
				t.Fatalf("%s broken off at %d: %+v", c.name, i, v)
			}
			if typeOf(c.name) != sse {
				continue
			}
			// An item that is repeated whole may count twice until it is.
			if out := got.settled.output; c.asked.Endpoint != responses.Endpoint && (out < seen || out > whole.settled.output+16) {
				t.Fatalf("%s broken off at %d: seen %d after %d, %d in all", c.name, i, out, seen, whole.settled.output)
			}
			seen = got.settled.output
			if !reflect.DeepEqual(got.last, got.settled) {
				t.Fatalf("%s broken off at %d: %+v, then %+v", c.name, i, got.settled, got.last)
			}
		}
	}
}
