package pages

import (
	"fmt"
	"regexp"
	"strings"
)

// anything is what a page writes for what differs from run to run.
const anything = "…"

// Same says how what came differs from what a page says comes: nil where every …
// stands for some text of its line, and every line of … for some lines.
func Same(want, got string) error {
	want, got = lines(want), lines(got)
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for line := range strings.Lines(want) {
		line = strings.TrimSuffix(line, "\n")
		if strings.TrimSpace(line) == anything {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		for i, part := range strings.Split(line, anything) {
			if i > 0 {
				pattern.WriteString(`.*?`)
			}
			pattern.WriteString(regexp.QuoteMeta(part))
		}
		pattern.WriteString(`\n`)
	}
	pattern.WriteString(`\z`)
	if regexp.MustCompile(pattern.String()).MatchString(got) {
		return nil
	}
	return fmt.Errorf("the page says\n%s\nand what comes is\n%s", indent(want), indent(got))
}

// lines are a text's, without what means nothing to a reader: space at their ends,
// carriage returns, empty lines before and behind, and how wide a table's columns
// are, which is as wide as what stands in them.
func lines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.Trim(text, "\r\n")) {
		line = strings.TrimRight(line, " \t\r\n")
		b.WriteString(columns.ReplaceAllString(line, "$1  ") + "\n")
	}
	return b.String()
}

var columns = regexp.MustCompile(`(\S)  +`)

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}
