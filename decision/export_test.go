package decision

// NumberIDs makes decision ids d-1, d-2, … so that stories can name them.
func (s *Service) NumberIDs(next func() string) { s.newID = next }

// EncodeNote and DecodeNote let the tests damage a note's bytes.
func DecodeNote(b []byte) error { _, err := decodeNote(b); return err }

// Cost is the rounding that Go and SQL share.
var Cost = cost
