package decision

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
	"strings"
)

const fingerprintSize = sha256.Size

// bearing are the headers, beside our own, that say as whom a call is counted or what
// it may cost.
var bearing = [...]string{claudeSession, claudeAgent, codexSession, betaHeader}

// fingerprint is what must be equal for two questions to be one: key, method, path,
// body, whether it is whole and may be changed, what is asserted, and the one other
// header that bears on money.
// A traceparent or a retry count may differ.
func fingerprint(c *Case) [fingerprintSize]byte {
	h := sha256.New()
	put(h, []byte(c.Caller.Key.ID))
	put(h, []byte(c.Request.Method))
	put(h, []byte(c.Request.Path))
	put(h, c.Request.Body)
	put(h, []byte{truth(c.Request.BodyComplete), truth(c.Request.Fixed)})
	names := make([]string, 0, 8)
	for name := range c.Request.Headers {
		if strings.HasPrefix(name, "x-signalbox-") || slices.Contains(bearing[:], name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		put(h, []byte(name))
		put(h, []byte(c.Request.Headers[name]))
	}
	return [fingerprintSize]byte(h.Sum(nil))
}

// put writes a field with its length, so that two fields never read as one.
func put(h hash.Hash, field []byte) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(field)))
	h.Write(n[:])
	h.Write(field)
}

func truth(b bool) byte {
	if b {
		return 1
	}
	return 0
}
