package llm

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// Edit replaces the bytes of one span of a body. An empty span inserts.
type Edit struct {
	At   [2]int
	Text []byte
	Why  string
}

// ClampOutput lowers the output limit of one answer to most, or sets it where
// the caller set none. field is the spelling to insert then, the model's
// output_limit; "" is max_tokens, which a server that knows only the other one
// refuses aloud, whereas an older server passes over max_completion_tokens in
// silence and writes without end.
//
// Every spelling that is there is lowered. What would make the request invalid
// is an error: a limit below MinOutput. A thinking budget that no longer fits is
// lowered with the limit, and keeps three quarters of it.
func (a *Ask) ClampOutput(most int64, field string) ([]Edit, error) {
	if most < a.MinOutput {
		return nil, fmt.Errorf("an output limit of %d is not valid here: the least is %d", most, a.MinOutput)
	}
	if a.NoOutput || a.Free {
		return nil, nil
	}
	var edits []Edit
	limit := a.MaxOutput
	for _, l := range a.limits {
		if l.value > most {
			edits = append(edits, number(l.at, most, "output limit lowered"))
			limit = most
		}
	}
	if a.MaxOutput == 0 {
		edits = append(edits, a.setLimit(most, field))
		limit = most
	}
	if limit == most && !a.budget.empty() && a.Thinking >= most {
		edits = append(edits, number(a.budget, max(leastThinking, most/4*3), "thinking kept below the output limit"))
	}
	return edits, nil
}

// setLimit writes an output limit where the caller has none: over a null of that
// name, since a second field of the same name would be a duplicate, or in front.
func (a *Ask) setLimit(most int64, field string) Edit {
	if field == "" || a.predicts || a.Dialect == Anthropic {
		field = "max_tokens" // the only spelling that Anthropic, and a predicted output, know
	}
	for _, l := range a.limits {
		if l.field == field {
			return number(l.at, most, "output limit set")
		}
	}
	return a.insert(field, strconv.FormatInt(most, 10), "output limit set")
}

// RequestUsage asks the provider to end a stream with its usage. There is nothing
// to ask of Anthropic, whose streams always do.
func (a *Ask) RequestUsage() []Edit {
	if a.Endpoint != ChatCompletions || !a.Stream || a.IncludeUsage {
		return nil
	}
	const why = "usage asked for at the end of the stream"
	u := a.usage
	switch {
	case u.options.empty():
		return []Edit{a.insert("stream_options", `{"include_usage":true}`, why)}
	case u.null:
		return []Edit{{At: u.options.array(), Text: []byte(`{"include_usage":true}`), Why: why}}
	case !u.includeUsage.empty():
		return []Edit{{At: u.includeUsage.array(), Text: []byte("true"), Why: why}}
	}
	text := `"include_usage":true,`
	if u.bare {
		text = `"include_usage":true`
	}
	at := u.options.start + 1
	return []Edit{{At: [2]int{at, at}, Text: []byte(text), Why: why}}
}

// Rename writes another model's name where the caller's stands. It is nil when
// the body names none.
func (a *Ask) Rename(model string) []Edit {
	if a.ModelSpan == [2]int{} {
		return nil
	}
	quoted := quote(model)
	return []Edit{{At: a.ModelSpan, Text: quoted[1 : len(quoted)-1], Why: "model substituted"}}
}

// insert puts a field in front of all others. There are others: a body without
// messages was not read.
func (a *Ask) insert(field, value, why string) Edit {
	return Edit{
		At:   [2]int{a.opening, a.opening},
		Text: []byte(`"` + field + `":` + value + `,`),
		Why:  why,
	}
}

func number(at span, n int64, why string) Edit {
	return Edit{At: at.array(), Text: strconv.AppendInt(nil, n, 10), Why: why}
}

// Apply makes the edits, whatever their order, and leaves body as it is. Edits
// that insert at one place are made in the order given. It fails when two
// overlap, or one lies outside the body: the caller's bytes would be lost.
func Apply(body []byte, edits []Edit) ([]byte, error) {
	sorted, err := inOrder(edits, len(body))
	if err != nil {
		return nil, err
	}
	size := len(body)
	for _, e := range sorted {
		size += len(e.Text)
	}
	out := make([]byte, 0, size)
	from := 0
	for _, e := range sorted {
		out = append(out, body[from:e.At[0]]...)
		out = append(out, e.Text...)
		from = e.At[1]
	}
	return append(out, body[from:]...), nil
}

// Carry moves a span of the body to where it stands after the edits. It fails
// when an edit changed the inside of the span. [0,0] is no span, and stays.
func Carry(at [2]int, edits []Edit) ([2]int, error) {
	if at == [2]int{} {
		return at, nil
	}
	shift := 0
	for _, e := range edits {
		switch {
		case e.At[1] <= at[0]:
			shift += len(e.Text) - (e.At[1] - e.At[0])
		case e.At[0] < at[1]:
			return at, fmt.Errorf("the span %d to %d was edited itself", at[0], at[1])
		}
	}
	return [2]int{at[0] + shift, at[1] + shift}, nil
}

// inOrder sorts edits by place and checks that they do not touch each other.
func inOrder(edits []Edit, size int) ([]Edit, error) {
	sorted := slices.Clone(edits)
	slices.SortStableFunc(sorted, func(a, b Edit) int {
		return cmp.Or(cmp.Compare(a.At[0], b.At[0]), cmp.Compare(a.At[1], b.At[1]))
	})
	from := 0
	for _, e := range sorted {
		switch {
		case e.At[0] < 0 || e.At[1] < e.At[0] || e.At[1] > size:
			return nil, fmt.Errorf("edit %q at %d to %d lies outside a body of %d bytes", e.Why, e.At[0], e.At[1], size)
		case e.At[0] < from:
			return nil, fmt.Errorf("edit %q at %d to %d overlaps another", e.Why, e.At[0], e.At[1])
		}
		from = e.At[1]
	}
	return sorted, nil
}
