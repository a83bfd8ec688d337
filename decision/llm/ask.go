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
	N           int64 // answers asked for; each may be as long as the output limit
	MaxOutput   int64 // output tokens of one answer, as asked; 0: not said
	MinOutput   int64 // the least output limit with which this body stays valid; at least 1
	Thinking    int64 // thinking.budget_tokens; inside MaxOutput
	// Predicted bounds the tokens of a predicted output: those rejected are
	// billed as output, beside the answer.
	Predicted int64

	ServiceTier string // as asked, "" when not said
	// CacheWrite and CacheWriteLong: the call may write the prompt to the
	// provider's cache, for minutes or for an hour, at a price above input's.
	CacheWrite, CacheWriteLong bool

	// Unbounded is what is billed but not bounded by the body, in body order.
	Unbounded []Unbounded

	Tools, Images, Files, Messages int

	User             string // OpenAI user; Anthropic metadata.user_id
	SafetyIdentifier string // OpenAI
	Session          string // metadata.session_id

	object   span // the body's outermost object
	limits   []limit
	stream   streamSpans
	messages span // the value of messages
	system   span // Anthropic's system
	imageSum int64
}

// Unbounded is one thing that is billed but that the body does not bound.
type Unbounded struct {
	Field string // the key path: tools[2].type
	Kind  Kind
	Max   int64 // how often at most, where the body says so; 0: it does not
	Why   string
}

// Kind says how an Unbounded thing is billed, and so how it may be held.
type Kind string

const (
	// KindInput adds prompt tokens from outside the body: held at the model's context.
	KindInput Kind = "input"
	// KindTool is run by the provider: a fee for each use, and the prompt read
	// again after each: held at Max × both, or not at all.
	KindTool Kind = "tool"
	// KindTier bills the whole call at another price.
	KindTier Kind = "tier"
	// KindOutput is output that is not text: audio, images.
	KindOutput Kind = "output"
)

// Problem is why a body cannot be read. Its message says where, by byte offset
// and key path, and never quotes the caller's text.
type Problem struct {
	Code    string // malformed, too_large, dialect_mismatch
	Message string
	Param   string // the key path, "" when the body as a whole is meant
	Offset  int    // in the body; -1 when there is no place to point at
}

func (p *Problem) Error() string { return p.Code + ": " + p.Message }

const (
	codeMalformed       = "malformed"
	codeTooLarge        = "too_large"
	codeDialectMismatch = "dialect_mismatch"
)

// span is a half-open range of bytes of the body.
type span struct{ start, end int }

func (s span) empty() bool { return s.end == 0 }

// limit is one spelling of the output limit where it stands in the body.
type limit struct {
	field string
	span  span // of the value
	value int64 // 0: null
}

// streamSpans is where stream_options stands.
type streamSpans struct {
	options      span // the value of stream_options; empty: absent
	isNull       bool
	includeUsage span // its include_usage value; empty: absent
}

// Parse reads a body for a route. complete is false when the gateway handed over
// only the first part of it.
func Parse(route Route, body []byte, complete bool) (*Ask, *Problem) {
	return nil, &Problem{Code: codeMalformed, Message: "not read yet", Offset: -1}
}
