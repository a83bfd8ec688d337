package registry

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxProblems bounds what one report lists: who has more than this to mend will
// run it again anyway.
const maxProblems = 50

// Problem is one thing wrong in a registry file: where, what, and what to write
// instead.
type Problem struct {
	File         string
	Line, Column int // from 1
	What, Want   string
}

func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s; %s", p.File, p.Line, p.Column, p.What, p.Want)
}

// FileError is everything wrong in the files of one apply, by file and place.
// Nothing of them was taken over.
type FileError struct {
	Problems []Problem // sorted, at most 50
	More     int       // how many others there are
}

func (e *FileError) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.String())
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "\nand %d more", e.More)
	}
	return b.String()
}

// problems collects what is wrong while files are read and checked.
type problems struct {
	list []Problem
	seen map[Problem]bool
	more int
}

// add keeps many more than are shown, so that what is shown is the first by
// place and not the first that some check came across.
func (p *problems) add(problem Problem) {
	if p.seen == nil {
		p.seen = map[Problem]bool{}
	}
	if p.seen[problem] {
		return // An anchor that is used twice is wrong once.
	}
	if len(p.list) >= 20*maxProblems {
		p.more++
		return
	}
	p.seen[problem] = true
	p.list = append(p.list, problem)
}

// err is everything collected, or nil.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	sorted := slices.Clone(p.list)
	slices.SortFunc(sorted, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.What, b.What), cmp.Compare(a.Want, b.Want))
	})
	e := &FileError{Problems: sorted, More: p.more}
	if len(sorted) > maxProblems {
		e.More += len(sorted) - maxProblems
		e.Problems = sorted[:maxProblems]
	}
	return e
}

// closest is the candidate that s is most likely a misspelling of, or "".
func closest(s string, candidates []string) string {
	best, bestDistance := "", 1+max(len(s)/3, 1)
	for _, c := range candidates {
		if d := distance(s, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is how many letters are added, left out, changed or swapped with their
// neighbour; what is too long to be a misspelling of a name is far from everything.
func distance(a, b string) int {
	if len(a) > 2*maxName || len(b) > 2*maxName {
		return 2 * maxName
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(last[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}

// oneOf spells a choice: `"a", "b" or "c"`, led by a guess where there is one.
func oneOf(got string, candidates []string) string {
	if c := closest(got, candidates); c != "" {
		return fmt.Sprintf("did you mean %q?", c)
	}
	return "want " + choices(candidates)
}

// choices lists at most a dozen.
func choices(candidates []string) string {
	const most = 12
	quoted := make([]string, 0, most)
	for _, c := range candidates[:min(len(candidates), most)] {
		quoted = append(quoted, fmt.Sprintf("%q", c))
	}
	switch n := len(quoted); {
	case n == 0:
		return "none: there are none yet"
	case len(candidates) > most:
		return strings.Join(quoted, ", ") + fmt.Sprintf(" or one of %d others", len(candidates)-most)
	case n == 1:
		return quoted[0]
	default:
		return strings.Join(quoted[:n-1], ", ") + " or " + quoted[n-1]
	}
}
