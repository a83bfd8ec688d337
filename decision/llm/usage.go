package llm

import "github.com/signalbox-dev/signalbox/journal"

// Usage reads a provider's usage, bare or inside a whole response or a stream's
// event, by that provider's convention. tier is the service tier it names.
func Usage(d Dialect, raw []byte) (used journal.Tokens, tier string, err error) {
	return journal.Tokens{}, "", nil
}
