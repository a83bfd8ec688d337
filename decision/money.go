package decision

import "math/bits"

// perToken is the PerMTok of a demand that counts tokens: one for each.
const perToken = 1_000_000

// maxNano is the most money one figure can hold: about 9.2 billion dollars.
const maxNano = 1<<63 - 1

// product is a sum of tokens × price, 128 bits wide: a sum of rounded parts would
// round up more than once an attempt.
type product struct{ hi, lo uint64 }

func (p *product) add(tokens, price int64) {
	if tokens <= 0 || price <= 0 {
		return
	}
	hi, lo := bits.Mul64(uint64(tokens), uint64(price))
	var carry uint64
	p.lo, carry = bits.Add64(p.lo, lo, 0)
	p.hi, _ = bits.Add64(p.hi, hi, carry)
}

// perMillion is the sum ÷ 10⁶, rounded up; false when it does not fit.
func (p product) perMillion() (int64, bool) {
	lo, carry := bits.Add64(p.lo, 999_999, 0)
	hi := p.hi + carry
	if hi >= 1_000_000 {
		return 0, false
	}
	quotient, _ := bits.Div64(hi, lo, 1_000_000)
	return int64(quotient), quotient <= maxNano
}

// cost is ⌈tokens × price ÷ 10⁶⌉ nano-USD, price in nano-USD per million tokens;
// false when it does not fit.
func cost(tokens, price int64) (int64, bool) {
	var p product
	p.add(tokens, price)
	return p.perMillion()
}

// multiply is a × b, false when it does not fit.
func multiply(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return int64(lo), a >= 0 && b >= 0 && hi == 0 && lo <= maxNano
}
