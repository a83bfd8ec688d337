package llm_test

import (
	"testing"

	"github.com/signalbox-dev/signalbox/decision/llm"
)

func TestRecogniseKnowsThePathsOfTheContractAndNoOthers(t *testing.T) {
	chat := llm.Route{Dialect: llm.OpenAI, Endpoint: llm.ChatCompletions}
	messages := llm.Route{Dialect: llm.Anthropic, Endpoint: llm.Messages}
	responses := llm.Route{Dialect: llm.OpenAI, Endpoint: llm.Responses}
	embeddings := llm.Route{Dialect: llm.OpenAI, Endpoint: llm.Embeddings}
	models := llm.Route{Dialect: llm.OpenAI, Endpoint: llm.Models, Free: true}
	named := func(r llm.Route, model string) llm.Route { r.PathModel = model; return r }
	known := []struct {
		method, path string
		want         llm.Route
	}{
		{"POST", "/v1/chat/completions", chat},
		{"POST", "/v1/chat/completions?stream=true", chat},
		{"POST", "/openai/v1/chat/completions", chat},
		{"POST", "/openai/v1/chat/completions?api-version=preview", chat},
		{"POST", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", named(chat, "gpt-4o")},
		{"POST", "/openai/deployments/a.b_c-D9/chat/completions", named(chat, "a.b_c-D9")},
		{"POST", "/v1/messages", messages},
		{"POST", "/v1/messages?beta=true", messages},
		{"POST", "/openai/v1/messages", messages},
		{"POST", "/openai/deployments/claude/messages", named(messages, "claude")},
		{"POST", "/v1/messages/count_tokens", llm.Route{Dialect: llm.Anthropic, Endpoint: llm.CountTokens, Free: true}},
		{"GET", "/v1/models", models},
		{"GET", "/v1/models?limit=20", models},
		{"GET", "/openai/v1/models", models},
		{"GET", "/openai/models?api-version=2024-10-21", models},
		{"POST", "/v1/responses", responses},
		{"POST", "/v1/responses?beta=true", responses},
		{"POST", "/openai/v1/responses?api-version=preview", responses},
		{"POST", "/openai/responses?api-version=2025-04-01-preview", responses},
		{"POST", "/openai/responses", responses},
		{"POST", "/openai/deployments/gpt-5/responses?api-version=2025-04-01-preview", named(responses, "gpt-5")},
		{"POST", "/v1/embeddings", embeddings},
		{"POST", "/openai/v1/embeddings", embeddings},
		{"POST", "/openai/deployments/ada/embeddings?api-version=2024-10-21", named(embeddings, "ada")},
	}
	for _, c := range known {
		if got, ok := llm.Recognise(c.method, c.path); !ok || got != c.want {
			t.Errorf("%s %s: got %+v, %v; want %+v", c.method, c.path, got, ok, c.want)
		}
	}

	unknown := []struct{ method, path string }{
		{"", ""}, {"POST", ""}, {"POST", "/"}, {"POST", "/v1"}, {"POST", "/v1/"}, {"GET", "*"},
		{"GET", "/v1/chat/completions"}, {"post", "/v1/chat/completions"}, {"PUT", "/v1/messages"},
		{"POST", "/v1/models"}, {"HEAD", "/v1/models"}, {"GET", "/v1/models/gpt-4o"}, {"GET", "/openai/deployments/x/models"},
		{"POST", "/v1/chat/completions/"}, {"POST", "//v1/chat/completions"}, {"POST", "/v1//chat/completions"},
		{"POST", "/v1/./chat/completions"}, {"POST", "/v1/x/../chat/completions"}, {"POST", "/v1/chat/../chat/completions"},
		{"POST", "/v1/chat%2fcompletions"}, {"POST", "/v1/%63hat/completions"}, {"POST", "/V1/chat/completions"},
		{"POST", "/v1/chat/completions;x=1"}, {"POST", "/v1/chat/completions#x"}, {"POST", " /v1/chat/completions"},
		{"POST", "/v1/chat/completions "}, {"POST", "/v1/chat/completions\x00"}, {"POST", `\v1\chat\completions`},
		{"POST", "http://api.openai.com/v1/chat/completions"}, {"POST", "/v1/completions"},
		{"POST", "/v1/images/generations"}, {"POST", "/v1/batches"}, {"GET", "/v1/responses"}, {"GET", "/v1/embeddings"},
		{"POST", "/v1/responses/"}, {"GET", "/v1/responses/resp_1"}, {"POST", "/v1/responses/resp_1/cancel"},
		{"POST", "/v1/responses/compact"}, {"POST", "/v1/responses/input_tokens"}, {"DELETE", "/v1/responses/resp_1"},
		{"POST", "/openai/models"}, {"GET", "/openai/responses"}, {"POST", "/openai/responses/"}, {"POST", "/openai/embeddings"},
		{"POST", "/openai/messages"}, {"POST", "/openai//responses"}, {"POST", "/openai/v1/../responses"}, {"POST", "/responses"},
		{"POST", "/openai/deployments//chat/completions"}, {"POST", "/openai/deployments/../chat/completions"},
		{"POST", "/openai/deployments/./chat/completions"}, {"POST", "/openai/deployments/a%2fb/chat/completions"},
		{"POST", "/openai/deployments/a/b/chat/completions"}, {"POST", "/openai/deployments/a"},
		{"POST", "/openai/deployments/ä/chat/completions"}, {"POST", "/openai/chat/completions"},
	}
	for _, c := range unknown {
		if got, ok := llm.Recognise(c.method, c.path); ok {
			t.Errorf("%s %q was taken for %+v", c.method, c.path, got)
		}
	}
}
