package llm

// Edit replaces the bytes of one span of a body. An empty span inserts.
type Edit struct {
	At   [2]int
	Text []byte
	Why  string
}

// ClampOutput lowers, or sets, the output limit of one answer to max. field is
// the spelling to insert where the caller used none ("max_tokens" or
// "max_completion_tokens"; "" is the dialect's own).
func (a *Ask) ClampOutput(max int64, field string) ([]Edit, error) { return nil, nil }

// RequestUsage asks the provider to end a stream with its usage.
func (a *Ask) RequestUsage() []Edit { return nil }

// Apply makes the edits, in any order. It fails when two of them overlap or one
// lies outside the body. body is not changed.
func Apply(body []byte, edits []Edit) ([]byte, error) { return nil, nil }

// Carry moves a span of the body to where it stands after the edits.
func Carry(at [2]int, edits []Edit) ([2]int, error) { return at, nil }
