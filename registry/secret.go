package registry

// KeyHasher turns a printed key into what is stored of it.
type KeyHasher struct {
	current  [32]byte
	previous *[32]byte
}

// NewKeyHasher makes a hasher of the secrets derived for the purpose "key-hash".
// Keys made under the previous secret are found until they are rotated.
func NewKeyHasher(current [32]byte, previous ...[32]byte) KeyHasher {
	h := KeyHasher{current: current}
	if len(previous) > 0 {
		h.previous = &previous[0]
	}
	return h
}
