package llm

// Bound is a number of tokens that text never exceeds.
func Bound(text []byte) int64 { return 0 }
