package llm

import (
	"bytes"
	"unicode/utf8"
)

// What a template adds beside the text, in tokens. Each is above every figure
// published for it; docs/decisions/031-tokens-by-bytes.md gives the sources.
const (
	perRequest     = 128  // role priming, a server's own system lines (harmony's are about 70)
	perMessage     = 16   // OpenAI's cookbook: 3, and 1 for a name; harmony's channel markers: about 12
	perPart        = 8    // separators between the parts of one message
	perTool        = 32   // the wrapping of one tool
	perToolset     = 1024 // once, when there are tools: Anthropic's tool prompt is 159 to 530 by model
	perBuiltInTool = 2048 // a tool whose schema the provider writes: computer use is 735, the editor 700
	perFeature     = 512  // thinking, structured output, citations: a few lines of the provider's each
	perValue       = 6    // quotes, separator, line break and indent of one value of a rendered schema
)

// What one image costs at most, whatever its size.
const (
	// openAIImage is gpt-4o-mini's price of the largest tiling: 2,833 + 8 × 5,667.
	// The patch-based models stay below it: 6,000 × 6,000 pixels are 35,344
	// patches, × 1.2.
	openAIImage    = 48_169
	openAIImageLow = 2_833 // the same model at detail: low
	// anthropicImage is the cap of the high-resolution models; older ones stop at 1,568.
	anthropicImage = 4_784
)

func openAIImageAt(low bool) int64 {
	if low {
		return openAIImageLow
	}
	return openAIImage
}

// longContext is the window that Anthropic's context-1m beta opens.
const longContext = 1_000_000

// Bound is a number of tokens that text never exceeds, for every tokenizer that
// works on bytes: one of its tokens is at least one byte of its input. A byte
// that is not UTF-8 counts three, because some replace it by U+FFFD first.
func Bound(text []byte) int64 {
	n := int64(len(text))
	if utf8.Valid(text) {
		return n
	}
	for i := 0; i < len(text); {
		c, size := utf8.DecodeRune(text[i:])
		if c == utf8.RuneError && size == 1 {
			n += 2
		}
		i += size
	}
	return n
}

// plainTokens bounds a JSON string, given without its quotes, where the provider
// puts its text into the prompt as it is: the bytes it has when unescaped.
func plainTokens(raw []byte) int64 {
	var n int64
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return n + int64(len(raw))
		}
		size, taken := escape(raw[i:])
		n += int64(i) + size
		raw = raw[i+taken:]
	}
}

// escape is how many bytes the escape at the start of raw stands for, and how
// many it takes. The parser has checked it.
func escape(raw []byte) (size int64, taken int) {
	if raw[1] != 'u' {
		return 1, 2
	}
	switch c := hex4(raw[2:6]); {
	case c < 0x80:
		return 1, 6
	case c < 0x800:
		return 2, 6
	case c >= 0xd800 && c < 0xdc00:
		return 4, 12 // with the other half of the pair, which follows
	default:
		return 3, 6
	}
}

func hex4(digits []byte) (n rune) {
	for _, d := range digits {
		n <<= 4
		switch {
		case d <= '9':
			n |= rune(d - '0')
		case d <= 'F':
			n |= rune(d - 'A' + 10)
		default:
			n |= rune(d - 'a' + 10)
		}
	}
	return n
}

// renderedTokens bounds a JSON string, given without its quotes, where the
// provider renders the JSON anew: as TypeScript, or as JSON with escapes of its
// own. A byte that is not ASCII may become \uXXXX, six bytes for two at worst, and
// so may <, > and & (Go's encoder); a line break may become the indent and the
// slashes of a comment's next line; an escape may be escaped again.
func renderedTokens(raw []byte) int64 {
	n := int64(len(raw))
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c >= utf8.RuneSelf:
			n += 2
		case c == '<', c == '>', c == '&':
			n += 5
		case c == '\\':
			i++
			switch raw[i] {
			case 'n', 'r':
				n += 4
			case 'u':
				n++
			default:
				n += 2 // \" in a string that is quoted again: \\\"
			}
		}
	}
	return n
}
