package opa

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Problem is one reason why a policy is not taken, at the place to mend it.
type Problem struct {
	File    string // as the operator can open it
	Line    int    // 0: the file as a whole
	Message string // a sentence
}

func (p Problem) String() string {
	switch {
	case p.File == "":
		return p.Message
	case p.Line == 0:
		return fmt.Sprintf("%s: %s", p.File, p.Message)
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message)
}

// LoadError says everything that is wrong with a policy, in the order of its
// files, so that one round of mending is enough.
type LoadError struct {
	Problems []Problem // never empty
}

// shown is how many problems one message carries: a log line that fills the
// screen is not read.
const shown = 5

func (e *LoadError) Error() string {
	var lines []string
	for i, p := range e.Problems {
		if i == shown {
			lines = append(lines, fmt.Sprintf("and %d more", len(e.Problems)-shown))
			break
		}
		lines = append(lines, p.String())
	}
	return "policy refused: " + strings.Join(lines, "; ")
}

// refused orders the problems and drops those said twice; nil when there are none.
func refused(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
	return &LoadError{Problems: slices.Compact(problems)}
}

func problemAt(at *ast.Location, format string, args ...any) Problem {
	p := Problem{Message: fmt.Sprintf(format, args...)}
	if at != nil {
		p.File, p.Line = at.File, at.Row
	}
	return p
}

// problemsOf turns what OPA's parser and compiler say into our sentences.
func problemsOf(err error) []Problem {
	var several ast.Errors
	if !errors.As(err, &several) {
		var one *ast.Error
		if !errors.As(err, &one) {
			return []Problem{{Message: err.Error()}}
		}
		several = ast.Errors{one}
	}
	problems := make([]Problem, 0, len(several))
	for _, e := range several {
		problems = append(problems, problemAt(e.Location, "%s", sentence(e)))
	}
	return problems
}

// sentence is what one error of OPA's means for the one who wrote the policy.
func sentence(e *ast.Error) string {
	if name, ok := strings.CutPrefix(e.Message, "undefined function "); ok {
		if why, known := refusedBuiltin(name); known {
			return name + " is not open to policies: " + why
		}
		return fmt.Sprintf("there is no function %s", name)
	}
	message := e.Message
	switch detail := e.Details.(type) {
	case nil:
	case *ast.RefErrInvalidDetail:
		if len(detail.OneOf) > 0 {
			known := make([]string, len(detail.OneOf))
			for i, v := range detail.OneOf {
				known[i] = strings.Trim(v.String(), `"`)
			}
			message += " (known here: " + strings.Join(known, ", ") + ")"
		}
	default: // the two types that do not fit, or the line and where on it
		lines := detail.Lines()
		lines = lines[:min(len(lines), 2)] // a hint may follow, with an address
		for i, line := range lines {
			lines[i] = strings.Join(strings.Fields(line), " ")
		}
		message += " (" + strings.Join(lines, ", ") + ")"
	}
	return message
}
