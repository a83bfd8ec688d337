// Package clients makes the official Go SDKs as applications make them: an address
// and a key, and nothing else that knows of Signalbox.
package clients

import (
	"github.com/anthropics/anthropic-sdk-go"
	aoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// OpenAI speaks to a Signalbox at url.
func OpenAI(url, key string, more ...option.RequestOption) openai.Client {
	return openai.NewClient(append([]option.RequestOption{option.WithBaseURL(url + "/v1"), option.WithAPIKey(key)}, more...)...)
}

// Anthropic speaks to a Signalbox at url.
func Anthropic(url, key string, more ...aoption.RequestOption) anthropic.Client {
	return anthropic.NewClient(append([]aoption.RequestOption{aoption.WithBaseURL(url), aoption.WithAPIKey(key)}, more...)...)
}
