package printed_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/adapters/envoy/config"
)

// How large a body the filters show us, in an Envoy that was given the room which the
// snippet asks for, and in one that was not: there Envoy's own 413 stands before us,
// whatever the filter says.
func TestBodies(t *testing.T) {
	const limit = 2 << 20
	for _, b := range bolts {
		for _, version := range b.versions {
			t.Run(fmt.Sprintf("%s %s", b.mode, version), func(t *testing.T) {
				t.Parallel()
				o := config.DefaultOptions()
				o.Mode, o.Body = b.mode, limit
				with := bolt(t, version, o, 2*limit)
				for _, size := range []int{100 << 10, limit - 1} {
					if got := with.call(t, chat, strings.Repeat("x", size)); got.status != 200 || with.service.body.Load() != int64(size) || !with.service.whole.Load() {
						t.Errorf("%d bytes: the caller got %+v, the service %d bytes, all: %v", size, got, with.service.body.Load(), with.service.whole.Load())
					}
				}
				got := with.call(t, chat, strings.Repeat("x", 3<<20))
				if b.mode == config.ExtProc { // it knows no limit of its own, and above Envoy's there is no call
					if got.status != 200 || with.service.body.Load() != 3<<20 {
						t.Errorf("3 MiB: the caller got %+v, the service %d bytes", got, with.service.body.Load())
					}
					with.call(t, chat, strings.Repeat("x", 16<<20)).is(t, 413, chat, "too_large")
				} else if got.status != 200 || with.service.whole.Load() || with.service.body.Load() != limit {
					t.Errorf("3 MiB: the caller got %+v, the service %d bytes, all: %v; want the first 2 MiB, which it refuses where they matter", got, with.service.body.Load(), with.service.whole.Load())
				}
				without := bolt(t, version, o, 0)
				without.call(t, message, strings.Repeat("x", limit-1)).is(t, 413, message, "too_large")
			})
		}
	}
}
