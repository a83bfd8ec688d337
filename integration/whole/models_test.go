package whole_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	aoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3/option"

	"github.com/signalbox-dev/signalbox/integration/sdk/clients"
)

// Whoever asks for the models is shown those it may call, in a list that either
// dialect's official client reads, also where the other's fields stand beside.
func TestModelsAsTheSDKsReadThem(t *testing.T) {
	box := start(t, people, "analytics: {disabled: true}\n")
	secret := key(t, box, "globex/notebook")
	openai, claude := clients.OpenAI(box.URL(), secret), clients.Anthropic(box.URL(), secret)

	for _, c := range []struct {
		name string
		more []option.RequestOption
		want []string
	}{
		{"as it is", nil, []string{"gpt-4o", "gpt-4o-us", "secret-model"}},
		{"a list for the other", []option.RequestOption{option.WithQuery("limit", "1000")}, []string{"claude"}},
	} {
		var names []string
		pages := openai.Models.ListAutoPaging(ctx(t), c.more...)
		for pages.Next() {
			m := pages.Current()
			if names = append(names, m.ID); m.Object != "model" || m.OwnedBy != "signalbox" || !m.JSON.Created.Valid() {
				t.Errorf("%s: %s", c.name, m.RawJSON())
			}
		}
		if err := pages.Err(); err != nil || !slices.Equal(names, c.want) {
			t.Errorf("OpenAI's client, %s: %q, %v", c.name, names, err)
		}
	}

	for _, c := range []struct {
		name   string
		params anthropic.ModelListParams
		more   []aoption.RequestOption
		want   []string
	}{
		{"as it is", anthropic.ModelListParams{}, nil, []string{"claude"}},
		{"without its header, a page", anthropic.ModelListParams{Limit: anthropic.Int(1000)}, []aoption.RequestOption{aoption.WithHeaderDel("anthropic-version")}, []string{"claude"}},
		{"a list for the other", anthropic.ModelListParams{}, []aoption.RequestOption{aoption.WithHeaderDel("anthropic-version")}, []string{"gpt-4o", "gpt-4o-us", "secret-model"}},
	} {
		var names []string
		pages := claude.Models.ListAutoPaging(ctx(t), c.params, c.more...)
		for pages.Next() {
			m := pages.Current()
			if names = append(names, m.ID); m.DisplayName != m.ID || m.Type != "model" || m.CreatedAt.IsZero() {
				t.Errorf("%s: %s", c.name, m.RawJSON())
			}
		}
		if err := pages.Err(); err != nil || !slices.Equal(names, c.want) {
			t.Errorf("Anthropic's client, %s: %q, %v", c.name, names, err)
		}
	}

	// Claude Code, asked to find its models behind a gateway, sends this and nothing else.
	req, err := http.NewRequestWithContext(ctx(t), http.MethodGet, box.URL()+"/v1/models?limit=1000", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := box.HTTPClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var list struct {
		Data []struct {
			ID          string
			DisplayName string `json:"display_name"`
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil || resp.StatusCode != http.StatusOK || len(list.Data) != 1 || !strings.HasPrefix(list.Data[0].DisplayName, "claude") {
		t.Errorf("%d %+v %v", resp.StatusCode, list, err)
	}
}
