package decision

import (
	"math/bits"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// perToken is the PerMTok of a demand that counts tokens: one for each.
const perToken = 1_000_000

// maxNano is the most money one figure can hold: about 9.2 billion dollars.
const maxNano = 1<<63 - 1

// cost is ⌈tokens × price ÷ 10⁶⌉ nano-USD, price in nano-USD per million tokens,
// by the registry's own formula; false when it does not fit.
func cost(tokens, price int64) (int64, bool) {
	nano, err := registry.Rates{Output: price}.Cost(journal.Tokens{Output: max(0, tokens)})
	return nano, err == nil
}

// multiply is a × b, false when it does not fit.
func multiply(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return int64(lo), a >= 0 && b >= 0 && hi == 0 && lo <= maxNano
}
