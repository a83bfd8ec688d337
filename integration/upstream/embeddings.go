package upstream

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
)

// embeddingsAsk is what is read of an embedding's body.
type embeddingsAsk struct {
	Input      json.RawMessage `json:"input"`
	Dimensions *int64          `json:"dimensions"`
	Format     string          `json:"encoding_format"`
}

// usualDimensions is how long a vector is that nobody wants shorter.
const usualDimensions = 1536

// embeddings answers embeddings: one vector for each input, and no output.
func (x *exchange) embeddings() error {
	var ask embeddingsAsk
	if err := json.Unmarshal(x.body, &ask); err != nil {
		x.refuse(notJSON(err))
		return nil
	}
	inputs, tokens := embeddingInputs(ask.Input)
	size := int64(usualDimensions)
	if ask.Dimensions != nil {
		size = *ask.Dimensions
	}
	switch {
	case len(inputs) == 0:
		x.refuse(*bad("", "", "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference."))
		return nil
	case size < 1 || size > 4096:
		x.refuse(*bad("dimensions", "", "Invalid value for 'dimensions' = %d. Must be between 1 and 4096.", size))
		return nil
	}
	x.bills(tokens, false)
	var data []map[string]any
	for i, n := range inputs {
		data = append(data, map[string]any{"object": "embedding", "index": i, "embedding": vector(n, size, ask.Format == "base64")})
	}
	answer := map[string]any{"object": "list", "data": data, "model": x.call.Model}
	if !x.steer.noUsage {
		answer["usage"] = map[string]int64{"prompt_tokens": tokens, "total_tokens": tokens}
	}
	return x.json(answer)
}

// embeddingInputs are the tokens of each input: a text, a list of texts, a list
// of tokens, or a list of such lists.
func embeddingInputs(raw json.RawMessage) (each []int64, sum int64) {
	var text string
	var texts []string
	var tokens []int64
	var lists [][]int64
	switch {
	case json.Unmarshal(raw, &text) == nil:
		texts = []string{text}
	case json.Unmarshal(raw, &texts) == nil:
	case json.Unmarshal(raw, &tokens) == nil:
		lists = [][]int64{tokens}
	default:
		_ = json.Unmarshal(raw, &lists) // what is none of these has no inputs
	}
	for _, t := range texts {
		each = append(each, max(1, int64(len(t)+3)/4))
	}
	for _, l := range lists {
		each = append(each, int64(len(l)))
	}
	for _, n := range each {
		sum += n
	}
	return each, sum
}

// vector is a unit vector that depends on the number alone, as numbers or as
// base64 of little-endian floats, which the official clients ask for.
func vector(seed, size int64, encoded bool) any {
	v := make([]float32, size)
	for i := range v {
		v[i] = float32(math.Sin(float64(seed)+float64(i)) / math.Sqrt(float64(size)/2))
	}
	if !encoded {
		return v
	}
	raw := make([]byte, 0, 4*size)
	for _, f := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
	}
	return base64.StdEncoding.EncodeToString(raw)
}
