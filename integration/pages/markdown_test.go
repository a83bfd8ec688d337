package pages

import (
	"slices"
	"testing"
)

func TestBlocks(t *testing.T) {
	blocks, err := Blocks("p.md", "# Page\n\n```sh\nls\n\npwd\n```\ntext\n```\nplain\n```\n\n```yaml\n# a/b.yaml: said why\nx: 1\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []Block{{"p.md", 4, "sh", "ls\n\npwd\n"}, {"p.md", 10, "", "plain\n"}, {"p.md", 14, "yaml", "# a/b.yaml: said why\nx: 1\n"}}
	if !slices.Equal(blocks, want) {
		t.Errorf("got %q", blocks)
	}
	if name, ok := blocks[2].fileName(); !ok || name != "a/b.yaml" {
		t.Errorf("its file is %q, %v", name, ok)
	}
	for _, b := range blocks[:2] {
		if name, ok := b.fileName(); ok {
			t.Errorf("%s is no file, and is called %q", b, name)
		}
	}
	if _, err := Blocks("p.md", "```sh\nls\n"); err == nil {
		t.Error("a block may run to the end of the page")
	}
}
