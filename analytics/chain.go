package analytics

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// chain links the decisions of one partition: each row's chain_hash is SHA-256
// over the 32 bytes of the row's before it (zeros for the first) and the record's
// canonical bytes. Whoever has the log can compute it again, so a row that was
// changed, added or taken out later shows.
type chain [sha256.Size]byte

// next is the hash behind one more record.
func (c chain) next(record []byte) chain {
	h := sha256.New()
	h.Write(c[:])
	h.Write(record)
	return chain(h.Sum(nil))
}

func (c chain) String() string { return hex.EncodeToString(c[:]) }

// parseChain reads what String wrote.
func parseChain(s string) (chain, error) {
	var c chain
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(c) {
		return c, fmt.Errorf("chain_hash %q is not 64 hexadecimal digits", s)
	}
	copy(c[:], b)
	return c, nil
}
