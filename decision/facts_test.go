package decision_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
)

// The facts are written as the library would write them: they are the input
// document of a public schema, and are read by everyone's JSON.
func TestFactsAreWrittenAsTheLibraryWould(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "plain", "<&>", "\u2028", "\xff", `"\`, "\x7f", "é"}))
	texts := rapid.OneOf(rapid.Just([]string(nil)), rapid.SliceOf(text))
	rapid.Check(t, func(t *rapid.T) {
		f := decision.Facts{
			Principal: decision.PrincipalFacts{Tenant: text.Draw(t, "tenant"), Team: text.Draw(t, "team"), App: text.Draw(t, "app"), Key: text.Draw(t, "key"),
				User: text.Draw(t, "user"), Session: text.Draw(t, "session"), Agent: text.Draw(t, "agent"),
				Tags: rapid.OneOf(rapid.Just(map[string]string(nil)), rapid.MapOf(text, text)).Draw(t, "tags")},
			Tenant: decision.TenantFacts{Regions: texts.Draw(t, "regions")}, App: decision.AppFacts{Models: texts.Draw(t, "models")},
			Request: decision.RequestFacts{Dialect: text.Draw(t, "dialect"), Endpoint: text.Draw(t, "endpoint"), Method: text.Draw(t, "method"), Path: text.Draw(t, "path"),
				Stream: rapid.Bool().Draw(t, "stream"), Tools: rapid.Int().Draw(t, "tools"), Images: rapid.Int().Draw(t, "images"), Files: rapid.Int().Draw(t, "files"), TokenIDs: rapid.Bool().Draw(t, "ids"),
				SizeBand: text.Draw(t, "band"), MaxOutput: rapid.Int64().Draw(t, "output")},
			Model: decision.ModelFacts{Name: text.Draw(t, "model")},
			Deployments: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) decision.DeploymentFacts {
				return decision.DeploymentFacts{Name: text.Draw(t, "name"), Provider: text.Draw(t, "provider"), Kind: text.Draw(t, "kind"), Region: text.Draw(t, "region"),
					PriceRank: rapid.Int().Draw(t, "rank"), Priced: rapid.Bool().Draw(t, "priced"), Healthy: rapid.Bool().Draw(t, "healthy")}
			}), 0, 3).Draw(t, "deployments"),
			Findings: rapid.SampledFrom([][]decision.FindingFacts{nil, {}, {{Kind: "email", Count: 2}, {Kind: "iban"}}}).Draw(t, "findings"),
			Time:     decision.TimeFacts{Hour: rapid.Int().Draw(t, "hour"), Weekday: text.Draw(t, "weekday"), Date: text.Draw(t, "date")},
			Gateway:  text.Draw(t, "gateway"),
		}
		want, err := json.Marshal(&f)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.JSON(); string(got) != string(want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}

// What is pasted into a path stays out of everything we write down.
func TestAKeyInThePathIsNotWrittenDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, story{})
		for path, want := range map[string]string{
			"/v1/sbx_0123456789abcdef/chat/completions": "/v1/sbx_…/chat/completions",
			"/sbx_a/sbx_b":       "/sbx_…/sbx_…",
			"/v1/x?key=sbx_abcd": "/v1/x",
			"/sbx_":              "/sbx_…",
		} {
			st.decide(t, question{Key: "helpdesk", Method: "POST", Path: path})
			all := st.entries(t, journal.TopicDecisions)
			d := all[len(all)-1].Event.(journal.Decided)
			if d.Path != want || len(d.Reasons) != 1 || !strings.Contains(d.Reasons[0].Message, " "+want+" ") {
				t.Errorf("%s: written as %s, %+v", path, d.Path, d.Reasons)
			}
		}
	})
}
