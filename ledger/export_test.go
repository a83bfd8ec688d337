package ledger

import "io"

// ZoneData is a zone's compiled-in rules, for a test that plants them elsewhere.
func ZoneData(name string) ([]byte, error) {
	files, err := archive()
	if err != nil {
		return nil, err
	}
	f, err := files[name].Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}
