package llm

import "strconv"

// Tools that a provider runs inside an answer and bills by the use, by the names
// that prices and usage know them by, whatever a dialect calls them. In a usage's
// Other a name says how often; 0 says that it was not used; and a name that is not
// there says nothing.
const (
	WebSearch       = "web_search"
	WebFetch        = "web_fetch"
	FileSearch      = "file_search"
	CodeInterpreter = "code_interpreter"
)

// limitable reports whether a limit can be written that bounds what a tool costs.
func (u *Unbounded) limitable() bool { return u.Kind == KindTool && u.Tool != "" && u.Max == 0 }

// callTogether gives the tools that max_tool_calls bounds that bound. What a server
// makes of a maximum of none is not known: to write another over it would be to let
// the caller have what it asked not to have.
func (a *Ask) callTogether() {
	none := a.toolCalls == 0 && !a.callsLimit.empty() && a.Body[a.callsLimit.start] != 'n'
	for i := range a.Unbounded {
		if u := &a.Unbounded[i]; u.Together {
			u.Max = a.toolCalls
			if none {
				u.Tool = ""
			}
		}
	}
}

// LimitTools writes how often the provider's tools may be used where the caller did
// not say: most for all of a response's together, and for each tool of a message's.
// It is what makes ModelLimits.ToolCalls a bound, and nil where nothing is to be
// written.
func (a *Ask) LimitTools(most int64) (edits []Edit) {
	const why = "uses of the provider's tools limited"
	write := func(field string, at span, open int) Edit {
		if !at.empty() { // a null: a second field of the name would be a duplicate
			return number(at, most, why)
		}
		return Edit{At: [2]int{open, open}, Text: []byte(`"` + field + `":` + strconv.FormatInt(most, 10) + `,`), Why: why}
	}
	for i := range a.Unbounded {
		switch u := &a.Unbounded[i]; {
		case !u.limitable():
		case u.Together:
			return []Edit{write("max_tool_calls", a.callsLimit, a.opening)}
		default:
			edits = append(edits, write("max_uses", u.limit, u.open))
		}
	}
	return edits
}
