package ledger

import (
	"fmt"
	"io"
	"strings"
)

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

// QueueOf lists who waits in a book, in order.
func QueueOf(b *Book) string {
	if len(b.queue) == 0 {
		return "empty"
	}
	var who []string
	for _, a := range b.queue {
		who = append(who, fmt.Sprintf("%c %d", a.epoch.id[0], a.n))
	}
	return strings.Join(who, ", ")
}
