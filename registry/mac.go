package registry

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// macs computes HMAC-SHA256 under one key, without garbage: it is asked several
// times in each decision. What it was asked stays in no buffer of it.
type macs struct{ pool sync.Pool }

type mac struct {
	hash   hash.Hash
	buffer []byte
}

func newMACs(key [32]byte) *macs {
	return &macs{sync.Pool{New: func() any { return &mac{hash: hmac.New(sha256.New, key[:])} }}}
}

// of is the MAC of one text.
func (p *macs) of(text string) [sha256.Size]byte {
	m := p.begin()
	m.buffer = append(m.buffer, text...)
	return p.end(m)
}

// tryOf is of, where there is a key at all.
func (p *macs) tryOf(text string) (sum [sha256.Size]byte, ok bool) {
	if p == nil {
		return sum, false
	}
	return p.of(text), true
}

// ofAll is the MAC of several texts in order. Lengths stand before them, so that
// no two lists are the same bytes.
func (p *macs) ofAll(texts ...string) [sha256.Size]byte {
	m := p.begin()
	for _, text := range texts {
		m.buffer = append(binary.BigEndian.AppendUint32(m.buffer, uint32(len(text))), text...)
	}
	return p.end(m)
}

func (p *macs) begin() *mac {
	m := p.pool.Get().(*mac)
	m.hash.Reset()
	m.buffer = m.buffer[:0]
	return m
}

func (p *macs) end(m *mac) (sum [sha256.Size]byte) {
	m.hash.Write(m.buffer)
	clear(m.buffer)
	m.buffer = m.hash.Sum(m.buffer[:0])
	copy(sum[:], m.buffer)
	p.pool.Put(m)
	return sum
}
