package llm

import (
	"slices"
	"strings"
)

// Fields that both dialects spell alike, and the ways of counting a value.

// model takes the model's name and notes where it stands, so that a gateway can
// write another one there.
func (r *reader) model() *Problem {
	if null, p := r.null(); null || p != nil {
		return p
	}
	name, at, p := r.text()
	if p != nil {
		return p
	}
	if name == "" {
		return r.malformed(at.start, "model must not be empty")
	}
	r.ask.ModelSpan = [2]int{at.start + 1, at.end - 1}
	if r.ask.PathModel == "" {
		r.ask.Model = name
	}
	return nil
}

func (r *reader) stream() (p *Problem) {
	r.ask.Stream, _, p = r.boolean()
	return p
}

// outputLimit takes one spelling of the output limit. With two of them the
// larger counts, because it depends on the provider which one it keeps.
func (r *reader) outputLimit(field string, least int64) *Problem {
	key := r.key
	n, said, at, p := r.whole(least, maxCount)
	if p != nil {
		return p
	}
	a := r.ask
	a.limits = append(a.limits, limit{field: field, key: key, at: at, value: n})
	a.NoOutput = said && n == 0
	a.MaxOutput = max(a.MaxOutput, n)
	return nil
}

// serviceTier takes the tier; known are those that cost no more than the standard one.
func (r *reader) serviceTier(known ...string) *Problem {
	tier, p := r.optionalText()
	if p != nil || tier == "" {
		return p
	}
	if tier == "fast" && r.ask.Dialect == OpenAI {
		tier = "priority" // the same thing, and the name by which the answer calls it
	}
	if slices.Contains(known, tier) {
		r.ask.ServiceTier = tier
		return nil
	}
	r.ask.ServiceTier = tierName(tier)
	r.tier(tier, "a tier with prices of its own")
	return nil
}

// tier notes that the whole call is billed at another price.
func (r *reader) tier(name, why string) {
	r.note(Unbounded{Field: r.where(), Kind: KindTier, Tier: tierName(name), Why: why})
}

// tierName is a tier as prices name it. It goes into messages, so a caller's own
// text does not pass.
func tierName(name string) string {
	if name == "" || len(name) > 32 {
		return "unknown"
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return "unknown"
		}
	}
	return name
}

// unless takes a value and calls it unbounded, unless it is null, false or empty.
func (r *reader) unless(kind Kind, why string) *Problem {
	start := r.start()
	switch r.kind() {
	case 'n', 'f':
		return r.skip()
	}
	cost := r.cost
	if p := r.value(renderedTokens); p != nil {
		return p
	}
	if bare(r.body[start:r.dec.InputOffset()]) {
		r.cost = cost
		return nil
	}
	r.unbounded(kind, why)
	return nil
}

// bare reports whether a value is an empty array or an empty string. An empty
// object is not bare: {} switches a feature on with its defaults.
func bare(value []byte) bool {
	if value[0] == '[' {
		return strings.TrimSpace(string(value[1:len(value)-1])) == ""
	}
	return string(value) == `""`
}

// unbounded notes what is being read as billed but not bounded by the body.
func (r *reader) unbounded(kind Kind, why string) {
	r.note(Unbounded{Field: r.where(), Kind: kind, Why: why})
}

// maxUnbounded is how many unbounded things are told apart.
const maxUnbounded = 16

// note keeps an unbounded thing. A body may have half a million of them, and a
// refusal names them: beyond a handful only a kind that is new counts, as one
// without a stated maximum. Tools that are bounded together need no more than one
// of each.
func (r *reader) note(u Unbounded) {
	a := r.ask
	if len(a.Unbounded) >= maxUnbounded {
		u.Max = 0
		if !u.Together {
			u.Tool = "" // nobody would write its limit
		}
		if slices.ContainsFunc(a.Unbounded, func(o Unbounded) bool {
			return o.Kind == u.Kind && o.Max == 0 && o.Together == u.Together && o.Tool == u.Tool
		}) {
			return
		}
	}
	a.Unbounded = append(a.Unbounded, u)
}

// image counts one image by rule: what its bytes or its address are does not matter.
func (r *reader) image(tokens int64) {
	r.ask.Images++
	r.ask.imageCost += tokens
	r.cost += tokens
}

// counting is a bound of one string's tokens: plainTokens or renderedTokens.
type counting func(raw []byte) int64

// value takes any value and counts every string, number and name in it, at every
// depth. It is how everything is counted for which there is no better rule, so
// that text in a field we have never heard of is still paid for.
func (r *reader) value(count counting) *Problem {
	switch r.kind() {
	case '{':
		return r.fields(markers, false, func(name string) *Problem {
			switch name {
			case "cache_control":
				return r.cacheControl()
			case "prompt_cache_breakpoint":
				return r.cacheBreakpoint()
			}
			r.name(count)
			return r.value(count)
		})
	case '[':
		return r.array(func(int) *Problem {
			r.cost += perValue
			return r.value(count)
		})
	default:
		at, p := r.raw()
		if p != nil {
			return p
		}
		raw := r.body[at.start:at.end]
		if raw[0] != 'n' {
			r.said(at)
		}
		if raw[0] == '"' {
			r.cost += count(raw[1 : len(raw)-1])
		} else {
			r.cost += int64(len(raw))
		}
		return nil
	}
}

// name counts the name whose value comes next.
func (r *reader) name(count counting) {
	r.cost += perValue + count(r.body[r.key.start+1:r.key.end-1])
}

// markers are read wherever a value is counted: a cache write raises the price
// from any depth.
var markers = []string{"cache_control", "prompt_cache_breakpoint"}

// cacheControl takes Anthropic's cache mark, which stands on blocks, tools and
// the request itself.
func (r *reader) cacheControl() *Problem {
	if r.kind() != '{' {
		return r.value(plainTokens) // null, or a schema's property of that name
	}
	r.ask.CacheWrite = true
	return r.object(cacheControlFields, func(name string) *Problem {
		if name != "ttl" || r.kind() != '"' {
			return r.value(plainTokens)
		}
		ttl, _, p := r.text()
		if ttl != "5m" {
			r.ask.CacheWriteLong = true // an hour, or a time to live we do not know
		}
		return p
	})
}

var cacheControlFields = []string{"ttl"}

// cacheBreakpoint takes OpenAI's mark of the end of a prefix to be cached.
func (r *reader) cacheBreakpoint() *Problem {
	if r.kind() != 'n' {
		r.ask.breakpoint = true
	}
	return r.value(plainTokens)
}

const (
	maxMessages = 100_000 // Anthropic's own limit
	maxPieces   = 1 << 20
)

// promptArray takes messages: an array whose every element is one turn.
func (r *reader) promptArray(each func() *Problem) *Problem {
	r.prompt = true
	if r.ask.turns == nil { // most prompts fit; a longer one grows
		r.ask.turns, r.ask.texts = make([]turn, 0, 16), make([]piece, 0, 32)
	}
	p := r.array(func(int) *Problem {
		r.ask.Messages++
		r.cost += perMessage
		r.turn(spoken)
		if p := each(); p != nil {
			return p
		}
		return r.tooMany()
	})
	r.prompt = false
	return p
}

// tooMany refuses a prompt of more pieces than are kept.
func (r *reader) tooMany() *Problem {
	if r.ask.Messages > maxMessages || len(r.ask.texts) > maxPieces {
		return &Problem{Code: codeTooLarge, Param: r.where(), Offset: r.start(),
			Message: "the prompt has more messages, or more parts, than any provider takes"}
	}
	return nil
}

// within notes where the value that take takes stands.
func (r *reader) within(at *span, take func() *Problem) *Problem {
	at.start = r.start()
	p := take()
	at.end = int(r.dec.InputOffset())
	return p
}
