package llm

// Dialect is the provider's language a caller speaks.
type Dialect string

const (
	OpenAI    Dialect = "openai"
	Anthropic Dialect = "anthropic"
)

// Endpoint is one operation of a dialect.
type Endpoint string

const (
	ChatCompletions Endpoint = "chat_completions"
	Responses       Endpoint = "responses"
	Embeddings      Endpoint = "embeddings"
	Messages        Endpoint = "messages"
	Models          Endpoint = "models"       // free
	CountTokens     Endpoint = "count_tokens" // free
)

// Ask is what one body asks for. Everything in it was read from Body, and every
// span is a half-open range of bytes of Body.
type Ask struct {
	Route
	Body []byte

	Model     string // the path's, where the path names one
	ModelSpan [2]int // between the quotes of the body's model; [0,0]: the body names none

	Stream       bool
	IncludeUsage bool // stream_options.include_usage as the caller set it

	// InputTokens bounds the prompt by its bytes: text, tools, schemas, images
	// and files by rule, and what templates add. What the body only refers to is
	// not in it but in Unbounded.
	InputTokens int64
	TokenIDs    int64 // of InputTokens, what is token ids already: nobody can read text in them
	N           int64 // answers asked for, each may be as long as the output limit; 0: an embedding
	MaxOutput   int64 // output tokens of one answer, as asked; 0: not said
	MinOutput   int64 // the least output limit with which this body stays valid; at least 1
	NoOutput    bool  // nothing is written: an embedding, or max_tokens is 0 to fill Anthropic's cache
	Thinking    int64 // thinking.budget_tokens
	// Background: the answer goes on at the provider when the call is over, and the
	// call's own answer tells no usage unless it is a stream that is read to its end.
	Background bool
	// ExtraOutput bounds what is billed as output beside each answer: a predicted
	// output's rejected tokens, thinking that the limit does not cover.
	ExtraOutput int64

	ServiceTier string // as asked, "" when not said
	// CacheWrite and CacheWriteLong: the call may write the prompt to the
	// provider's cache, for minutes or for an hour, at a price above input's.
	CacheWrite, CacheWriteLong bool
	LongContext                bool // a beta opens a window beyond the model's own

	// Unbounded is what is billed but not bounded by the body, in body order.
	Unbounded []Unbounded

	Messages, Tools, Images, Files int // messages, or the items of a response, or the inputs of an embedding

	User             string // OpenAI user; Anthropic metadata.user_id without its session
	SafetyIdentifier string // OpenAI
	Session          string // metadata.session_id, or the one inside metadata.user_id or client_metadata

	turns []turn // the prompt for its hash
	texts []piece

	opening    int // where the first field stands, just behind the body's brace
	limits     []limit
	budgets    []budget
	usage      usageSpans
	predicts   bool  // prediction is there
	aside      int64 // of ExtraOutput, what is thinking
	imageCost  int64
	prompted   bool  // a prompt is there: messages, an input, or what refers to one
	toolCalls  int64 // max_tool_calls: of all the provider's tools together
	callsLimit span  // where it stands; empty: nowhere
	breakpoint bool  // an explicit cache breakpoint stands in the prompt
	explicit   bool  // OpenAI: only explicit breakpoints write the cache
}

// Unbounded is one thing that is billed but that the body does not bound.
type Unbounded struct {
	Field string // the key path: tools[2].type
	Kind  Kind
	Max   int64 // how often at most, where the body says so; 0: it does not
	// Tool is what prices call the tool, where each use of it runs the model once
	// more and may have a fee; empty: Max does not bound what it costs.
	Tool string
	// Together: Max is not this one's alone, but of all that say so.
	Together bool
	Tier     string // of KindTier: its name in prices
	Why      string

	limit span // where Max stands, or a null in its place; empty: nowhere
	open  int  // just behind the tool's brace, where it can be written
}

// Kind says how an Unbounded thing is billed, and so how it may be held.
type Kind string

const (
	// KindInput adds prompt tokens from outside the body: held at the model's context.
	KindInput Kind = "input"
	// KindTool is run by the provider: the model reads its prompt again after each
	// use. Held at Max uses, each with the model's context, or not at all.
	KindTool Kind = "tool"
	// KindRun runs the model Max times more over its prompt, with no fee, for a text
	// of its own that the caller's output limit does not bound but the model's does.
	KindRun Kind = "run"
	// KindTier bills the whole call at another price.
	KindTier Kind = "tier"
	// KindMedia is sound or video, in or out, billed by a price of its own.
	KindMedia Kind = "media"
	// KindModel lets another model answer, or help, at its own price.
	KindModel Kind = "model"
)

// span is a half-open range of bytes of the body. No value stands at its very
// start, so an empty span is a span that is not there.
type span struct{ start, end int }

func (s span) empty() bool { return s.end == 0 }

func (s span) array() [2]int { return [2]int{s.start, s.end} }

// limit is one spelling of the output limit where it stands in the body.
type limit struct {
	field string
	key   span  // of the name, with its quotes
	at    span  // of the value
	value int64 // 0: null
}

// budget is one spelling of a budget for thinking where it stands in the body.
type budget struct {
	at     span
	value  int64
	least  int64 // the least that its provider takes
	quoted bool  // it is a string of a number
}

// usageSpans is where the caller asks for a stream's usage.
type usageSpans struct {
	options      span // the value of stream_options; empty: absent
	null         bool // which is null
	bare         bool // which is an object without fields
	includeUsage span // the value of its include_usage; empty: absent
}

// Parse reads a body for a route. complete is false when the gateway handed over
// only the first part of it: then its end may ask for anything, so only a free
// call goes on.
func Parse(route Route, body []byte, complete bool) (*Ask, *Problem) {
	ask := &Ask{Route: route, Body: body, Model: route.PathModel, N: 1, MinOutput: 1}
	switch {
	case route.Endpoint == Models:
		return ask, nil
	case !complete && route.Free:
		return ask, nil
	case !complete:
		return nil, &Problem{Code: codeTooLarge, Offset: -1,
			Message: "only the first part of the body was handed over, and the rest may ask for anything"}
	case len(body) > maxBody:
		return nil, &Problem{Code: codeTooLarge, Offset: -1, Message: "the body is larger than any that is read"}
	case len(body) == 0:
		return nil, &Problem{Code: codeMalformed, Offset: 0, Message: "the body is empty"}
	case string(body[:min(3, len(body))]) == "\xef\xbb\xbf":
		return nil, &Problem{Code: codeMalformed, Offset: 0, Message: "the body starts with a byte order mark"}
	}
	if p := newReader(body, ask).read(route); p != nil {
		return nil, p
	}
	return ask, nil
}

// read reads the whole document and checks what every dialect needs.
func (r *reader) read(route Route) *Problem {
	a := r.ask
	a.opening = r.start() + 1
	r.cost = perRequest
	var p *Problem
	switch {
	case route.Dialect == Anthropic:
		p = r.messagesBody()
	case route.Endpoint == Responses:
		p = r.responsesBody()
	case route.Endpoint == Embeddings:
		p = r.embeddingsBody()
	default:
		p = r.chatBody()
	}
	if p == nil {
		p = r.finish()
	}
	if p != nil {
		return p
	}
	if a.Model == "" {
		return missing("model")
	}
	if !a.prompted {
		return missing(a.promptField())
	}
	a.InputTokens = r.cost
	if a.Tools > 0 {
		a.InputTokens += perToolset
	}
	return nil
}

// promptField is the field that a body of this kind cannot do without.
func (a *Ask) promptField() string {
	if a.Endpoint == Responses || a.Endpoint == Embeddings {
		return "input"
	}
	return "messages"
}

func missing(field string) *Problem {
	return &Problem{Code: codeMalformed, Message: field + " is missing", Param: field, Offset: -1}
}
