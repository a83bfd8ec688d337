package door

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/registry"
)

// ModelEdit is what must change in a plan's body so that it names the model as one
// deployment's provider knows it. span is where the caller's model stands in the
// body, zero where the path named it. The edit has no text where nothing changes:
// the path names the model there too.
func ModelEdit(d *registry.Deployment, endpoint llm.Endpoint, body []byte, span [2]int) (llm.Edit, error) {
	if len(body) == 0 {
		return llm.Edit{}, nil
	}
	pathNames := d.ProviderRef == nil || decision.PathNamesModel(d.ProviderRef, endpoint)
	if span == [2]int{} && pathNames {
		return llm.Edit{}, nil
	}
	var quoted bytes.Buffer
	e := json.NewEncoder(&quoted)
	e.SetEscapeHTML(false)
	if err := e.Encode(d.UpstreamModel); err != nil {
		return llm.Edit{}, fmt.Errorf("write the model's name: %w", err)
	}
	name := bytes.TrimSuffix(quoted.Bytes(), []byte("\n"))
	if span != [2]int{} {
		if span[0] < 0 || span[1] < span[0] || span[1] > len(body) {
			return llm.Edit{}, fmt.Errorf("the model stands at %v of a body of %d bytes", span, len(body))
		}
		return llm.Edit{At: span, Text: name[1 : len(name)-1], Why: "model"}, nil
	}
	// The caller's path named the model, as Azure's do, and this provider's does
	// not. The body is an object with something in it: the decision has read it.
	at := bytes.IndexByte(body, '{') + 1
	return llm.Edit{At: [2]int{at, at}, Text: append(append([]byte(`"model":`), name...), ','), Why: "model"}, nil
}
