package decision_test

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/registry"
)

// Costs are exact, rounded up once, and refused where they do not fit.
func TestCostsAreExact(t *testing.T) {
	million := big.NewInt(1_000_000)
	rapid.Check(t, func(t *rapid.T) {
		tokens, price := rapid.Int64Range(0, math.MaxInt64).Draw(t, "tokens"), rapid.Int64Range(0, math.MaxInt64).Draw(t, "price")
		product := new(big.Int).Mul(big.NewInt(tokens), big.NewInt(price))
		want, rest := new(big.Int).DivMod(product, million, new(big.Int))
		if rest.Sign() > 0 {
			want.Add(want, big.NewInt(1))
		}
		if got, ok := decision.Cost(tokens, price); ok != want.IsInt64() || ok && got != want.Int64() {
			t.Fatalf("cost(%d, %d) = %d %v, want %s", tokens, price, got, ok, want)
		}
		if got, ok := decision.Multiply(tokens, price); ok != product.IsInt64() || ok && got != product.Int64() {
			t.Fatalf("%d × %d = %d %v, want %s", tokens, price, got, ok, product)
		}
	})
}

// A call is refused for money exactly when what is spent, its prompt and the floor
// of its clamp are together more than the limit, to the nano-dollar.
func TestExactlyWhenTheFloorCannotBePaid(t *testing.T) {
	const (
		spent  = 10*1_000 + 20*10_000   // 10 tokens in, 20 out, at mini's price
		prompt = 128 * 1_000            // the bound of an empty prompt
		floor  = 256 * 10_000           // tokens out
		needed = spent + prompt + floor // nano-USD
	)
	for _, limit := range []int64{needed - 1, needed, needed + 1} {
		t.Run(fmt.Sprint(limit-needed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t, story{World: `budgets: [{name: cap, match: {tenant: acme}, unit: usd, amount: "` + registry.FormatUSD(limit) + `", window: total}]`})
				st.decide(t, question{Key: "helpdesk", Body: small})
				st.report(t, report{Of: 1, Outcome: "completed", Usage: map[string]int64{"input": 10, "output": 20}})
				got := st.decide(t, question{Key: "helpdesk", Body: strings.Replace(small, ":9,", ":1000,", 1)})
				if limit < needed {
					if got["status"] != 402 {
						t.Errorf("want 402, got %v", got)
					}
				} else if got["max_output"] != 256 {
					t.Errorf("want the floor, got %v", got)
				}
			})
		})
	}
}
