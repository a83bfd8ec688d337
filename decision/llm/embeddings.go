package llm

// embeddingsFields are read at the top of an embedding. Some servers take messages
// in the place of an input. The last lines cost nothing.
var embeddingsFields = []string{
	"model", "input", "messages", "user", "safety_identifier", "metadata", "extra_body", "service_tier",

	"encoding_format", "dimensions",
}

// embeddingsBody reads an embedding: a prompt with no answer.
func (r *reader) embeddingsBody() *Problem {
	a := r.ask
	a.N, a.NoOutput = 0, true
	return r.object(embeddingsFields, func(name string) *Problem {
		switch name {
		case "input":
			return r.embeddingInput()
		case "encoding_format", "dimensions":
			return r.skip()
		}
		return r.chatField(name)
	})
}

// embeddingInput takes what is to be embedded: a text, token ids, or several of
// either. Each is a prompt of its own.
func (r *reader) embeddingInput() *Problem {
	switch r.kind() {
	case 'n':
		return r.skip()
	case '"':
		r.prompted()
		return r.oneTurn(user)
	case '[':
	default:
		return r.want('[', "a string or an array")
	}
	r.prompt = true
	ids := false // what is being read is token ids, which are one prompt together
	p := r.array(func(int) *Problem {
		if r.kind() == '0' {
			if !ids {
				r.prompted()
				r.turn(user)
			}
			ids = true
			return r.tokenID()
		}
		ids = false
		r.prompted()
		r.turn(user)
		if p := r.embedded(); p != nil {
			return p
		}
		return r.tooMany()
	})
	r.prompt = false
	return p
}

// prompted notes that a prompt of its own begins.
func (r *reader) prompted() {
	r.ask.prompted = true
	r.ask.Messages++
	r.cost += perMessage
}

// embedded takes one prompt among several.
func (r *reader) embedded() *Problem {
	switch r.kind() {
	case '"':
		return r.value(plainTokens)
	case '[':
		return r.array(func(int) *Problem { return r.tokenID() })
	case '{': // a picture, or a text, at a server that takes both
		return r.chatPart()
	}
	return r.want('"', "a string, an array of token ids, or such an id")
}

// tokenID takes one token of a text that the caller has cut up already.
func (r *reader) tokenID() *Problem {
	if p := r.want('0', "a token id"); p != nil {
		return p
	}
	at, p := r.raw()
	if p != nil {
		return p
	}
	if n, ok := wholeNumber(r.body[at.start:at.end]); !ok || n < 0 {
		return r.malformed(at.start, "%s must be a token id", r.subject())
	}
	a := r.ask
	r.cost++
	a.TokenIDs++
	r.said(at)
	return r.tooMany()
}
