package llm

import (
	"fmt"
	"maps"

	"github.com/signalbox-dev/signalbox/journal"
)

// Usage reads a provider's usage, bare or inside a whole response or one event
// of a stream, by that provider's convention, and says which tier of its price it
// names: its service tier, fast, or inference_geo_ with the region. The two
// conventions are the root of most wrong bills: OpenAI's tokens include what was
// cached, Anthropic's input tokens leave it out. Both spell them input_tokens
// somewhere, so the dialect tells them apart and not the spelling.
//
// A figure that is missing, negative, above any model, or above the sum it is
// part of is an error: what is not known is not zero.
func Usage(d Dialect, raw []byte) (used journal.Tokens, tier string, err error) {
	r := newReader(raw, &Ask{})
	f, p := r.usage()
	switch {
	case p != nil:
		return used, "", fmt.Errorf("usage: %s", p.Message)
	case f.said == 0:
		return used, "", fmt.Errorf("usage: there is none in it")
	case d == Anthropic:
		used, err = f.anthropic()
	default:
		used, err = f.openAI()
	}
	if err != nil {
		return journal.Tokens{}, "", fmt.Errorf("usage: %w", err)
	}
	return used, f.tier(), nil
}

// figures are a provider's numbers as it spells them; what it did not say is 0,
// and said tells the two that must be there.
type figures struct {
	said int // bits: saidInput, saidOutput

	input, output, total        int64
	cacheRead, cacheWrite       int64 // Anthropic: beside input
	short, long                 int64 // of cacheWrite, by time to live
	split                       bool
	cached, written, reasoning  int64 // OpenAI: inside input, inside output
	hit                         int64 // DeepSeek's name for cached, beside it
	audioIn, audioOut           int64
	summaryInput, summaryOutput int64 // runs that input and output leave out
	summaryRead, summaryWrite   int64
	advisorInput, advisorOutput int64 // another model's
	searches, fetches           int64
	serviceTier, speed, geo     string
}

const (
	saidInput = 1 << iota
	saidOutput
)

// openAI reads prompt_tokens and completion_tokens, or input_tokens and
// output_tokens where the same figures are spelt so.
func (f *figures) openAI() (journal.Tokens, error) {
	if f.said&saidInput == 0 {
		return journal.Tokens{}, fmt.Errorf("prompt_tokens is missing")
	}
	if f.said&saidOutput == 0 && f.total != f.input { // embeddings write nothing
		return journal.Tokens{}, fmt.Errorf("completion_tokens is missing")
	}
	t := journal.Tokens{
		Input: f.input, Cached: max(f.cached, f.hit), CacheWrite: f.written,
		// Some compatible servers leave reasoning out of completion_tokens but not
		// out of the total, nor out of the bill.
		Output: max(f.output, f.total-f.input), Reasoning: f.reasoning,
	}
	t.Other = others("audio_input_tokens", f.audioIn, "audio_output_tokens", f.audioOut)
	return t, consistent(t)
}

// anthropic adds what the cache took and gave to input_tokens, which leaves both out.
func (f *figures) anthropic() (journal.Tokens, error) {
	if f.said&saidInput == 0 {
		return journal.Tokens{}, fmt.Errorf("input_tokens is missing")
	}
	if f.said&saidOutput == 0 {
		return journal.Tokens{}, fmt.Errorf("output_tokens is missing")
	}
	written := max(f.cacheWrite, f.short+f.long)
	t := journal.Tokens{
		Cached: f.cacheRead + f.summaryRead, Reasoning: f.reasoning,
		CacheWrite: f.short, CacheWriteLong: f.long,
		Output: f.output + f.summaryOutput,
	}
	if f.split {
		t.CacheWriteLong = written - f.short // a time to live we do not know is a long one
	} else {
		t.CacheWrite = written // five minutes, unless it says otherwise
	}
	t.CacheWrite += f.summaryWrite
	t.Input = f.input + f.summaryInput + t.Cached + t.CacheWrite + t.CacheWriteLong
	t.Other = map[string]int64{WebSearch: f.searches, WebFetch: f.fetches} // one that is not said was not used
	maps.Copy(t.Other, others("advisor_input_tokens", f.advisorInput, "advisor_output_tokens", f.advisorOutput))
	return t, consistent(t)
}

// consistent checks that no part is larger than its whole.
func consistent(t journal.Tokens) error {
	if t.Cached+t.CacheWrite+t.CacheWriteLong > t.Input {
		return fmt.Errorf("more tokens cached (%d) than there are (%d)", t.Cached+t.CacheWrite+t.CacheWriteLong, t.Input)
	}
	if t.Reasoning > t.Output {
		return fmt.Errorf("more tokens of reasoning (%d) than of output (%d)", t.Reasoning, t.Output)
	}
	return nil
}

// others gathers what was used of things with prices of their own.
func others(pairs ...any) map[string]int64 {
	var m map[string]int64
	for i := 0; i < len(pairs); i += 2 {
		if n := pairs[i+1].(int64); n > 0 {
			if m == nil {
				m = map[string]int64{}
			}
			m[pairs[i].(string)] = n
		}
	}
	return m
}

var usageFields = []string{
	"usage", "message", "response", "x_groq", "service_tier", "speed", "inference_geo",
	"prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens",
	"prompt_tokens_details", "input_tokens_details", "completion_tokens_details", "output_tokens_details",
	"prompt_cache_hit_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation",
	"server_tool_use", "iterations",
}

// usage reads a document: usage itself, or a response or an event that has it.
func (r *reader) usage() (figures, *Problem) {
	var f figures
	p := r.figures(&f)
	if p == nil {
		p = r.finish()
	}
	return f, p
}

// figures reads one level. usage, and the message or the response of an event,
// hold the figures one level down (and x_groq, where Groq's streams put them);
// nothing else on their level has the figures' names.
func (r *reader) figures(f *figures) *Problem {
	return r.object(usageFields, func(name string) (p *Problem) {
		switch name {
		case unknown:
			return r.skip()
		case "usage", "message", "response", "x_groq":
			if r.kind() != '{' {
				return r.skip()
			}
			return r.figures(f)
		case "service_tier", "speed", "inference_geo":
			return r.usageTier(name, f)
		case "prompt_tokens_details", "input_tokens_details":
			return r.inputDetails(f)
		case "completion_tokens_details", "output_tokens_details":
			return r.outputDetails(f)
		case "cache_creation":
			return r.counts([]string{"ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"},
				[]*int64{&f.short, &f.long}, &f.split)
		case "server_tool_use":
			return r.counts([]string{"web_search_requests", "web_fetch_requests"},
				[]*int64{&f.searches, &f.fetches}, nil)
		case "iterations":
			return r.iterations(f)
		}
		to, bit := f.place(name)
		said := false
		*to, said, _, p = r.whole(0, maxCount)
		if said {
			f.said |= bit
		}
		return p
	})
}

// place is where a figure belongs.
func (f *figures) place(name string) (to *int64, bit int) {
	switch name {
	case "prompt_tokens", "input_tokens":
		return &f.input, saidInput
	case "completion_tokens", "output_tokens":
		return &f.output, saidOutput
	case "total_tokens":
		return &f.total, 0
	case "cache_read_input_tokens":
		return &f.cacheRead, 0
	case "cache_creation_input_tokens":
		return &f.cacheWrite, 0
	}
	return &f.hit, 0 // prompt_cache_hit_tokens
}

// usageTier takes what says at which price the call was answered.
func (r *reader) usageTier(name string, f *figures) *Problem {
	if r.kind() != '"' {
		return r.skip()
	}
	s, _, p := r.text()
	switch name {
	case "service_tier":
		f.serviceTier = s
	case "speed":
		f.speed = s
	case "inference_geo":
		f.geo = s
	}
	return p
}

// tier is the price's name for what answered. The fast mode is the dearest, so it
// counts whatever else is said; then a fixed region. Models that cannot be held
// to one say not_available.
func (f *figures) tier() string {
	switch {
	case f.speed == "fast" || f.serviceTier == "fast":
		return "fast"
	case f.geo != "" && f.geo != "global" && f.geo != "not_available":
		return tierName(geoTier + f.geo)
	}
	return f.serviceTier
}

func (r *reader) inputDetails(f *figures) *Problem {
	return r.counts([]string{"cached_tokens", "cache_write_tokens", "audio_tokens"},
		[]*int64{&f.cached, &f.written, &f.audioIn}, nil)
}

func (r *reader) outputDetails(f *figures) *Problem {
	return r.counts([]string{"reasoning_tokens", "thinking_tokens", "audio_tokens"},
		[]*int64{&f.reasoning, &f.reasoning, &f.audioOut}, nil)
}

// counts takes an object of numbers, those of names into to.
func (r *reader) counts(names []string, to []*int64, there *bool) *Problem {
	if null, p := r.null(); null || p != nil {
		return p
	}
	if there != nil {
		*there = true
	}
	return r.object(names, func(name string) *Problem {
		for i := range names {
			if names[i] == name {
				n, _, _, p := r.whole(0, maxCount)
				*to[i] = max(*to[i], n) // Some servers say it in two spellings.
				return p
			}
		}
		return r.skip()
	})
}

var iterationFields = []string{"type", "input_tokens", "output_tokens", "cache_read_input_tokens",
	"cache_creation_input_tokens"}

// iterations takes Anthropic's runs of one call. The call's own figures are the
// sum of its messages; what a compaction or an adviser used is billed beside.
func (r *reader) iterations(f *figures) *Problem {
	if null, p := r.null(); null || p != nil {
		return p
	}
	return r.array(func(int) *Problem {
		kind, n := "", [5]int64{}
		p := r.object(iterationFields, func(name string) (p *Problem) {
			if name == "type" && r.kind() == '"' {
				kind, _, p = r.text()
				return p
			}
			for i := 1; i < len(iterationFields); i++ {
				if iterationFields[i] == name {
					n[i], _, _, p = r.whole(0, maxCount)
					return p
				}
			}
			return r.skip()
		})
		switch kind {
		case "compaction":
			f.summaryInput += n[1]
			f.summaryOutput += n[2]
			f.summaryRead += n[3]
			f.summaryWrite += n[4]
		case "advisor_message":
			f.advisorInput += n[1] + n[3] + n[4]
			f.advisorOutput += n[2]
		}
		if f.summaryInput|f.summaryOutput|f.summaryRead|f.summaryWrite|f.advisorInput|f.advisorOutput > maxCount<<4 {
			return r.malformed(r.start(), "the iterations add up to more than any model reads")
		}
		return p
	})
}
