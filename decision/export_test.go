package decision

// NumberIDs makes decision ids d-1, d-2, … so that stories can name them.
func (s *Service) NumberIDs(next func() string) { s.newID = next }

// Remembered counts the calls that are remembered, by name and by hold.
func (s *Service) Remembered() (named, held, leaving int) {
	s.calls.mu.Lock()
	defer s.calls.mu.Unlock()
	for _, k := range s.calls.byName {
		for ; k != nil; k = k.sameName {
			named++
		}
	}
	return named, len(s.calls.byHold), s.calls.leaving.Len()
}

// Note, and how it is written and read, for the tests that damage its bytes.
type Note = note

func (n note) Encode() []byte { return n.encode() }

var DecodeNote = decodeNote

// Cost and Multiply are the arithmetic that ceilings are made of.
var (
	Cost     = cost
	Multiply = multiply
)

// JSON is the facts as they are journaled.
func (f *Facts) JSON() []byte { return f.appendJSON(nil) }
