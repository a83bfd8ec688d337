package guard

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// KindEmail is the kind of what Email finds.
const KindEmail = "email"

// Email finds e-mail addresses, as mail servers accept them and as people write
// them into prose, code, URLs and JSON: local@label.label.
//
// The local part is RFC 5321's dot-atom, in any alphabet (RFC 6531), but for the
// characters that stand between an address and its neighbours in real text (see
// besideNames); it starts at a letter or a digit. The domain has two labels or more,
// in any alphabet, and its last begins with two letters. Where rules and practice
// differ it finds too much rather than too little: bob..x@example.com is no address
// and is somebody's all the same. The whole is 254 bytes at most, as in SMTP.
//
// The @ is also found as machines write it into URLs and HTML and as keyboards of
// East Asia have it: see spelled. Nobody means to hide an address by that.
//
// It does not find what is written so as not to look like an address (bob at
// example.com, b&#111;b@…, letters without width), quoted local parts ("bob"@…) nor
// addresses of machines (bob@[192.0.2.1], root@localhost). The table in email_test.go
// says the rest.
type Email struct{}

// Kinds is email.
func (Email) Kinds() []string { return []string{KindEmail} }

// Find goes from one @ to the next. Around each it looks at no more than an
// address's longest, and never at a byte of the finding before, so that each byte
// is looked at a bounded number of times whatever the text is made of.
func (Email) Find(text string, found func(Finding)) {
	signs := atSigns{text: text}
	for from := 0; ; {
		at, behind := signs.next(from)
		if at < 0 {
			return
		}
		end, own := domain(text, behind)
		if end < 0 {
			from = behind
			continue
		}
		start := local(text, from, at, own)
		if start == at || end-start > addressMost {
			from = behind
			continue
		}
		found(Finding{Kind: KindEmail, Start: start, End: end})
		from = end
	}
}

// spelled are the ways to write an @.
var spelled = [...]string{"@", "%40", "&#64;", "\uff20"}

// atSigns goes through a text from one @ to the next, however it is spelled. What is
// known of each spelling is kept, so that the text is searched once for each.
type atSigns struct {
	text  string
	known [len(spelled)]int // behind the next of each; before from: not known
}

// next is the first @ at or behind from: where it begins and ends; -1: there is none.
func (s *atSigns) next(from int) (at, behind int) {
	at = -1
	for i, spelling := range spelled {
		if s.known[i] < from+len(spelling) {
			n := strings.Index(s.text[from:], spelling)
			if n < 0 {
				n = len(s.text) // and never looked for again
			}
			s.known[i] = from + n + len(spelling)
		}
		if begins := s.known[i] - len(spelling); begins < len(s.text) && (at < 0 || begins < at) {
			at, behind = begins, s.known[i]
		}
	}
	return at, behind
}

// addressMost is the longest address: RFC 5321's path of 256 without its brackets.
const addressMost = 254

// domain is where the domain that begins at start ends: behind the last label that
// can be a top-level domain; -1 if there is none. own says that it begins in a script
// without spaces.
func domain(text string, start int) (end int, own bool) {
	end = -1
	limit := min(len(text), start+addressMost)
	label := start    // where this label begins
	unspaced := false // the character before is of a script without spaces
	for i := start; ; {
		r, size := rune(-1), 0
		if i < limit {
			r, size = utf8.DecodeRuneInString(text[i:])
		}
		before := unspaced
		unspaced = spaceless(r)
		switch {
		case i == start:
			own = unspaced
		case unspaced && !before && label > start && i > label && top(text[label:i]) == i-label:
			return i, own // A sentence goes on right behind an address: bob@example.com谢谢.
		}
		if nameRune(r) || i > label && (r == '-' || r == '_') {
			i += size
			continue
		}
		if n := top(text[label:i]); label > start && n > 0 {
			end = label + n
		}
		if r != '.' || i == label {
			return end, own
		}
		i += size
		label = i
	}
}

// top is how many bytes at the beginning of a label can be a top-level domain: two
// letters or more, or a name in Punycode. What follows them does not belong to the
// address: bob@example.com2, bob@example.com-based. It is 0 for the 2 of react@18.2.0.
func top(label string) int {
	if len(label) > 4 && strings.EqualFold(label[:4], "xn--") {
		return len(strings.TrimRight(label, "-"))
	}
	letters, size := 0, 0
	for i, r := range label {
		if !unicode.IsLetter(r) && !unicode.IsMark(r) {
			break
		}
		letters++
		size = i + utf8.RuneLen(r)
	}
	if letters < 2 {
		return 0
	}
	return size
}

// local is where the local part that ends at the @ begins; the @ itself if there
// is none. own says that the domain is written in a script without spaces, and only
// then may the local part be: otherwise such a letter ends the word before.
func local(text string, from, at int, own bool) int {
	start := at
	from = max(from, at-addressMost)
	for i := at; i > from; {
		r, size := utf8.DecodeLastRuneInString(text[from:i])
		name := nameRune(r) && (own || !spaceless(r))
		if !name && !besideNames(r) {
			break
		}
		i -= size
		if name {
			start = i
		}
	}
	if start > 0 && text[start-1] == '\\' {
		return escaped(text, start, at)
	}
	return start
}

// escaped is where a local part with a backslash before it begins: in JSON inside a
// string, \nbob@example.com is a line break and bob. Taken for a letter of bob's, the
// n would go, and what is left would be no JSON.
func escaped(text string, start, at int) int {
	switch c := text[start]; {
	case strings.IndexByte("bfnrt", c) >= 0:
		start++
	case c == 'u' && at-start > 5 && strings.Trim(text[start+1:start+5], "0123456789abcdefABCDEF") == "":
		start += 5
	}
	for start < at {
		r, size := utf8.DecodeRuneInString(text[start:])
		if nameRune(r) {
			break
		}
		start += size
	}
	return start
}

// besideNames reports whether a character that is no letter and no digit may stand in
// a local part. Of those that RFC 5321 allows, eight are left out, because they stand
// between addresses and other text far more often than in addresses: / ? & = in URLs
// and logs, { | } and ` in code and tables.
func besideNames(r rune) bool {
	return r < utf8.RuneSelf && strings.IndexByte(".!#$%'*+-^_~", byte(r)) >= 0
}

// nameRune reports whether a character makes a name: a letter, a digit, or a mark
// on one.
func nameRune(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	case r == utf8.RuneError:
		return false
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

// spaceless reports whether a letter is of a script that is written without spaces
// between words, or that joins them to foreign ones (Korean particles): there a
// neighbouring letter does not tell where an address begins or ends.
func spaceless(r rune) bool {
	switch {
	case r < 0x0e00:
		return false
	case r < 0x1200: // Thai, Lao, Tibetan, Myanmar; Georgian in between is not
		return r < 0x10a0 || r >= 0x1100
	case r >= 0x1780 && r < 0x1800: // Khmer
		return true
	case r >= 0x2e80 && r < 0xd800: // Han, kana, bopomofo, Yi, Hangul; their punctuation is no letter
		return r < 0xa4d0 || r >= 0xa960 && r < 0xa980 || r >= 0xac00
	case r >= 0xf900 && r < 0xfb00, r >= 0xff66 && r < 0xffa0: // compatibility Han, half-width kana
		return true
	}
	return r >= 0x1b000 && r < 0x1b300 || r >= 0x20000 && r < 0x40000
}
