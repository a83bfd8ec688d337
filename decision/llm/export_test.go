package llm

// What the tests need to see of the inside.
var (
	ChatFields     = chatFields
	MessagesFields = messagesFields

	ResponsesFields  = responsesFields
	EmbeddingsFields = embeddingsFields
	MaxNames         = maxNames
	AllNames         = [][]string{chatFields, messagesFields, responsesFields, embeddingsFields, partFields, responsePartFields,
		itemFields, responseToolFields, toolFields, blockFields, extraFields, reasoningFields, usageFields, proseFields}
)

const (
	PerRequest     = perRequest
	PerMessage     = perMessage
	OpenAIImage    = openAIImage
	OpenAIImageLow = openAIImageLow
	AnthropicImage = anthropicImage
)

// Opening is where edits insert.
func (a *Ask) Opening() int { return a.opening }

// Quoted reports whether a text stands in a string of JSON.
func (t Text) Quoted() bool { return t.quoted }
