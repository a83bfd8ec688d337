package xds_test

import (
	"fmt"
	"testing"

	"github.com/signalbox-dev/signalbox/adapters/envoy/xds"
)

// BenchmarkRenew is what a change of the registry costs that changes nothing for
// Envoys, such as a new key: it is looked at all the same.
func BenchmarkRenew(b *testing.B) {
	for _, n := range []int{10, 200} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var names []string
			for i := range n {
				names = append(names, fmt.Sprintf("d%d openai", i))
			}
			h := newHouse(b, xds.Options{}, twoProviders+deployed(names...), newKeys("openai", "sk-1"))
			for b.Loop() {
				h.Renew()
			}
		})
	}
}
