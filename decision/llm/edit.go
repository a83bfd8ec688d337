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
// is an error: a limit below MinOutput. A budget for thinking that no longer fits
// is lowered with the limit, and keeps three quarters of it.
func (a *Ask) ClampOutput(most int64, field string) ([]Edit, error) {
	return a.limitOutput(most, a.spelling(field), false)
}

// ClampOutputAs is ClampOutput for a model that the caller did not ask for: the
// limit is also spelt as that model's output_limit says, whatever the caller's
// model took. One that needs no lowering is spelt anew all the same.
func (a *Ask) ClampOutputAs(most int64, field string) ([]Edit, error) {
	return a.limitOutput(most, a.spelling(field), a.Endpoint == ChatCompletions)
}

// spelling is how the limit is spelt in this body, for a model that spells it field.
func (a *Ask) spelling(field string) string {
	switch {
	case a.Endpoint == Responses:
		return "max_output_tokens"
	case field == "", a.predicts, a.Dialect == Anthropic:
		return "max_tokens" // the only spelling that Anthropic, and a predicted output, know
	}
	return field
}

func (a *Ask) limitOutput(most int64, field string, respell bool) ([]Edit, error) {
	if a.NoOutput || a.Free {
		return nil, nil
	}
	if most < a.MinOutput {
		return nil, fmt.Errorf("an output limit of %d is not valid here: the least is %d", most, a.MinOutput)
	}
	var edits []Edit
	if a.MaxOutput == 0 {
		edits = append(edits, a.setLimit(most, field))
	}
	for _, l := range a.limits {
		switch {
		case respell && l.field != field && a.MaxOutput > 0:
			edits = append(edits, a.respell(l, field, most)...)
		case l.value > most:
			edits = append(edits, number(l.at, most, "output limit lowered"))
		}
	}
	if a.MaxOutput == 0 || a.MaxOutput >= most {
		edits = append(edits, a.fitThinking(most)...)
	}
	return edits, nil
}

// fitThinking lowers the budgets for thinking that do not fit under a limit.
func (a *Ask) fitThinking(most int64) (edits []Edit) {
	for _, b := range a.budgets {
		if b.value < most {
			continue
		}
		e := number(b.at, max(min(b.least, b.value), most/4*3), "thinking kept below the output limit")
		if b.quoted {
			e.Text = quote(string(e.Text))
		}
		edits = append(edits, e)
	}
	return edits
}

// respell makes one limit another field. Where that field has a limit already,
// this one goes: a model that takes one of the two refuses the pair.
func (a *Ask) respell(l limit, field string, most int64) []Edit {
	const why = "output limit spelt as the model takes it"
	for _, other := range a.limits {
		switch {
		case other.field != field:
		case other.value == 0 && l.value > 0: // a null, which the limit is written over
			return []Edit{number(other.at, min(l.value, most), why), {At: a.member(l), Why: why}}
		default:
			return []Edit{{At: a.member(l), Why: why}}
		}
	}
	edits := []Edit{{At: [2]int{l.key.start + 1, l.key.end - 1}, Text: []byte(field), Why: why}}
	if l.value > most {
		edits = append(edits, number(l.at, most, "output limit lowered"))
	}
	return edits
}

// member is a field with one of the commas beside it. There is one: a body of one
// field is not read.
func (a *Ask) member(l limit) [2]int {
	end := l.at.end
	for isSpace(a.Body[end]) {
		end++
	}
	if a.Body[end] == ',' {
		return [2]int{l.key.start, end + 1}
	}
	start := l.key.start
	for isSpace(a.Body[start-1]) {
		start--
	}
	return [2]int{start - 1, l.at.end}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// setLimit writes an output limit where the caller has none: over a null of that
// name, since a second field of the same name would be a duplicate, or in front.
func (a *Ask) setLimit(most int64, field string) Edit {
	for _, l := range a.limits {
		if l.field == field && l.value == 0 {
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

// insert puts a field in front of all others. There are others: a body without a
// prompt was not read.
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
