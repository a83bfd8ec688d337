package llm

import "hash"

// HashPrompt writes the normalised messages into mac.
func (a *Ask) HashPrompt(mac hash.Hash) {}
