package upstream

import (
	"fmt"
	"time"
)

// headers writes what the real ones send beside an answer. None of it is the
// caller's business, so a gateway that relays it can be told by it.
func (x *exchange) headers(contentType string) {
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Set-Cookie", fmt.Sprintf("__cf_bm=%d; path=/; Secure; HttpOnly", x.n))
	h.Set("Cf-Ray", fmt.Sprintf("%016x-AMS", x.n))
	if x.place.anthropic {
		h.Set("Request-Id", x.id("req_"))
		h.Set("Anthropic-Organization-Id", "00000000-0000-4000-8000-000000000000")
		for _, of := range []string{"Requests", "Input-Tokens", "Output-Tokens", "Tokens"} {
			h.Set("Anthropic-Ratelimit-"+of+"-Limit", "80000")
			h.Set("Anthropic-Ratelimit-"+of+"-Remaining", "79000")
			h.Set("Anthropic-Ratelimit-"+of+"-Reset", x.at.UTC().Add(time.Second).Format(time.RFC3339))
		}
		return
	}
	h.Set("X-Request-Id", x.id("req_"))
	h.Set("Openai-Organization", "the-provider-s-customer")
	h.Set("Openai-Project", "proj_000000000000000000000000")
	h.Set("Openai-Processing-Ms", "1")
	h.Set("Openai-Version", "2020-10-01")
	for _, of := range []string{"Requests", "Tokens"} {
		h.Set("X-Ratelimit-Limit-"+of, "80000")
		h.Set("X-Ratelimit-Remaining-"+of, "79000")
		h.Set("X-Ratelimit-Reset-"+of, "1ms")
	}
	if x.place.azure {
		h.Set("Apim-Request-Id", x.id(""))
		h.Set("X-Ms-Region", "West Europe")
	}
}

// limited says on a 429 what the real ones say: which limit, and until when.
func (x *exchange) limited() {
	h, after := x.w.Header(), x.steer.retryAfter
	if after == "" {
		after = "1"
	}
	h.Set("Retry-After", after)
	if x.place.anthropic {
		h.Set("Anthropic-Ratelimit-Requests-Remaining", "0")
		return
	}
	h.Set("Retry-After-Ms", after+"000")
	h.Set("X-Ratelimit-Remaining-Requests", "0")
	h.Set("X-Ratelimit-Reset-Requests", after+"s")
}
