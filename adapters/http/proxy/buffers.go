package proxy

import "sync"

// buffers are shared by all calls. Events are small and streams many, so a call
// begins with a small buffer, and takes a large one when a read has filled it.
type buffers struct{ small, large *pool }

func newBuffers() buffers {
	return buffers{small: newPool(4 << 10), large: newPool(32 << 10)}
}

// fit is the buffer for the next read, after one of n bytes.
func (b buffers) fit(buf *[]byte, n int) *[]byte {
	if len(*buf) == b.large.size || n < len(*buf) {
		return buf
	}
	b.put(buf)
	return b.large.get()
}

func (b buffers) put(buf *[]byte) {
	if len(*buf) == b.large.size {
		b.large.free.Put(buf)
		return
	}
	b.small.free.Put(buf)
}

type pool struct {
	size int
	free sync.Pool
}

func newPool(size int) *pool { return &pool{size: size} }

func (p *pool) get() *[]byte {
	if b, ok := p.free.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, p.size)
	return &b
}
