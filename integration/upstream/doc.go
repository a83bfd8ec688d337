// Package upstream is a provider that is not one. It speaks OpenAI's chat
// completions, responses and embeddings, the Azure spellings of their paths, and
// Anthropic's messages and count_tokens, as JSON and as event streams, in the
// shapes that were recorded from the real ones, so that the official SDKs read
// its answers with their own types. It counts what it bills, refuses what the
// real ones refuse about limits and credentials, and does what request headers
// tell it to (steer.go), so that tests and the demo can say what should go wrong.
//
// It has no model: a token is one word of a fixed list, and how many there are
// follows from the body alone, so that a run can be repeated. What it bills is
// what it generated until it ended or noticed that nobody reads any more, whether
// or not the caller was ever told.
//
// Start at provider.go, which takes a call through; chat.go, responses.go and
// messages.go are a dialect each, script.go is what gets written, and search.go
// what it looks for on the web.
package upstream
