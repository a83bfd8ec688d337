package pages

import (
	"fmt"
	"strings"
)

// Block is one fenced block of a page.
type Block struct {
	Page string
	Line int // of its first line of text
	Lang string
	Text string
}

func (b Block) String() string { return fmt.Sprintf("%s:%d", b.Page, b.Line) }

// First is the block's first line, which is its name in tables.
func (b Block) First() string {
	first, _, _ := strings.Cut(b.Text, "\n")
	return first
}

// Blocks are a page's, in order. A block that never ends is an error: everything
// behind it would be read as a program, or not at all.
func Blocks(page, text string) ([]Block, error) {
	var blocks []Block
	var open *Block
	for i, line := range strings.Split(text, "\n") {
		lang, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &Block{Page: page, Line: i + 2, Lang: strings.TrimSpace(lang)}
		case fence && strings.TrimSpace(lang) == "":
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.Text += line + "\n"
		}
	}
	if open != nil {
		return nil, fmt.Errorf("%s: the block never ends", open)
	}
	return blocks, nil
}

// fileName is the name in a comment that is the block's first line, such as
// "# registry.yaml" or "// demo/config.toml: the agent's settings".
func (b Block) fileName() (string, bool) {
	first := b.First()
	for _, sign := range []string{"# ", "// "} {
		if name, ok := strings.CutPrefix(first, sign); ok {
			name, _, _ = strings.Cut(name, ": ")
			name, _, _ = strings.Cut(name, " (")
			return name, name != "" && !strings.ContainsAny(name, " \t")
		}
	}
	return "", false
}
