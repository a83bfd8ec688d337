// Package llm reads what callers send to a model and what providers answer, in
// the dialects they speak: just the fields that cost money, name the model, or
// must be edited.
//
// It refuses to rebuild a body. A body is read once, front to back, and stays
// the caller's bytes; every change is an Edit of one span, so that what we did
// not understand reaches the provider as it was written. It refuses to guess
// low: every count here is a bound, and what a body does not bound is named in
// Ask.Unbounded instead of being forgotten. It knows no prices, no budgets and
// no clock, and its errors never quote the caller's text.
//
// Open ask.go first, for what a body is read into; then openai.go, responses.go or
// anthropic.go for the fields; ceiling.go for what they may cost.
package llm
