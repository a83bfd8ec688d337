package pages

import "testing"

func TestSame(t *testing.T) {
	for _, row := range []struct {
		why, want, got string
		same           bool
	}{
		{"word for word", "a b\n", "a b\n", true},
		{"space at the end is not seen", "a\n", "a  \r\n\n", true},
		{"something in a line", "key …, never\n", "key key-1, never\n", true},
		{"nothing in a line", "a…b\n", "ab\n", true},
		{"not over the end of a line", "a…b\n", "a\nb\n", false},
		{"lines", "a\n…\nd\n", "a\nb\nc\nd\n", true},
		{"no lines", "a\n…\nd\n", "a\nd\n", true},
		{"lines at the end", "a\n…\n", "a\nb\n", true},
		{"wider columns", "A    B\n1…  2\n", "A   B\n100   2\n", true},
		{"space before a line is a reader's", "  a\n", "    a\n", false},
		{"a line more", "a\n", "a\nb\n", false},
		{"a line less", "a\nb\n", "a\n", false},
		{"signs that mean something to a pattern", "a.c (x)\n", "abc (x)\n", false},
		{"signs that mean something to a pattern, as they are", "a.c (x) $1 [y]*\n", "a.c (x) $1 [y]*\n", true},
	} {
		if err := Same(row.want, row.got); (err == nil) != row.same {
			t.Errorf("%s: %q and %q: %v", row.why, row.want, row.got, err)
		}
	}
}
