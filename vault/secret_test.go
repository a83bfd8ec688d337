package vault_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"expvar"
	"fmt"
	htmltemplate "html/template"
	"log"
	"log/slog"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/signalbox-dev/signalbox/vault"
)

// planted is a credential that must not be found in anything printed.
const planted = "sk-PLANTED-7f3a9c"

// leaks reports whether a text holds a planted secret, in one of the spellings
// that printers have for strings and bytes.
func leaks(text string, secrets ...string) bool {
	flat := strings.ToLower(text)
	for _, s := range secrets {
		numbers := strings.Trim(fmt.Sprint([]byte(s)), "[]")
		for _, spelling := range []string{s, s[:10], hex.EncodeToString([]byte(s)), base64.StdEncoding.EncodeToString([]byte(s))[:12],
			numbers, strings.ReplaceAll(numbers, " ", ", "), strings.ReplaceAll(fmt.Sprintf("%# x", s), " ", ", ")} {
			if strings.Contains(flat, strings.ToLower(spelling)) {
				return true
			}
		}
	}
	return false
}

// TestLeaks: what looks for the secret finds it where it is.
func TestLeaks(t *testing.T) {
	for _, verb := range []string{"%s", "%v", "%q", "%x", "%X", "%#v", "%d"} {
		if !leaks(fmt.Sprintf(verb, planted), planted) || !leaks(fmt.Sprintf(verb, []byte(planted)), planted) {
			t.Errorf("%s of the secret is not noticed: %s", verb, fmt.Sprintf(verb, []byte(planted)))
		}
	}
}

// holder has secrets where methods are not called by printers, and where they are.
type holder struct {
	Shown  vault.Secret
	hidden vault.Secret
	inner  struct{ deep []vault.Secret }
	byName map[string]vault.Secret
	any    any
}

func newHolder() holder {
	s := vault.NewSecret(planted)
	h := holder{Shown: s, hidden: s, byName: map[string]vault.Secret{"a": s}, any: s}
	h.inner.deep = []vault.Secret{s}
	return h
}

func TestSecretHidesFromFmt(t *testing.T) {
	s, h := vault.NewSecret(planted), newHolder()
	values := []any{s, &s, h, &h, []vault.Secret{s}, map[string]vault.Secret{"x": s}, [1]any{s}, struct{ e error }{fmt.Errorf("with %v", s)}}
	for verb := rune('!'); verb <= 'z'; verb++ {
		for _, flags := range []string{"", "+", "#", " ", "-30", "0", ".3", "+#", "# "} {
			format := "%" + flags + string(verb)
			for _, v := range values {
				if text := fmt.Sprintf(format, v); leaks(text, planted) {
					t.Errorf("%s of %T: %s", format, v, text)
				}
			}
		}
	}
	if text := fmt.Sprintf("%s", s); text != "[credential]" {
		t.Errorf("shown as %s", text)
	}
	extra := strings.Repeat("nothing", 1) // has no verbs, and is not seen to have none
	if text := fmt.Sprintf(extra, s, h) + fmt.Sprint(s, h) + fmt.Sprintln(&s, &h); leaks(text, planted) {
		t.Error(text)
	}
	if text := fmt.Errorf("call: %w", errors.Join(fmt.Errorf("%+v", h))).Error(); leaks(text, planted) {
		t.Error(text)
	}
}

func TestSecretHidesFromLogs(t *testing.T) {
	s, h := vault.NewSecret(planted), newHolder()
	var out bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		l := slog.New(handler).With("always", s).WithGroup("g")
		l.Info("x", "secret", s, "pointer", &s, "in", h, "at", &h, slog.Group("g", "s", s), "list", []vault.Secret{s}, "err", fmt.Errorf("%v", h))
	}
	log.New(&out, "", 0).Print(s, h, &h)
	if leaks(out.String(), planted) || !strings.Contains(out.String(), "[credential]") {
		t.Error(out.String())
	}
}

// answer is what somebody might send, with secrets in it by mistake.
type answer struct {
	S vault.Secret
	P *vault.Secret
	L []vault.Secret
}

func TestSecretHidesFromMarshallers(t *testing.T) {
	s, h := vault.NewSecret(planted), newHolder()
	both := answer{s, &s, []vault.Secret{s}}
	var published expvar.Map
	published.Set("s", expvar.Func(func() any { return both }))
	var page bytes.Buffer
	if err := template.Must(template.New("t").Parse(`{{.S}} {{printf "%x" .S}}`)).Execute(&page, both); err != nil {
		t.Error(err)
	}
	if err := htmltemplate.Must(htmltemplate.New("t").Parse(`{{.S}}<script>{{.}}</script>`)).Execute(&page, both); err != nil {
		t.Error(err)
	}
	spelled := map[string]func() ([]byte, error){
		"json":        func() ([]byte, error) { return json.Marshal(both) },
		"json of all": func() ([]byte, error) { return json.Marshal(h) },
		"yaml":        func() ([]byte, error) { return yaml.Marshal(both) },
		"xml":         func() ([]byte, error) { return xml.Marshal(both) },
		"text":        func() ([]byte, error) { return s.MarshalText() },
		"expvar":      func() ([]byte, error) { return []byte(published.String()), nil },
		"templates":   func() ([]byte, error) { return page.Bytes(), nil },
		"a diff": func() ([]byte, error) {
			return []byte(cmp.Diff(both, struct{}{}) + cmp.Diff(s, vault.NewSecret("other"))), nil
		},
	}
	for name, spell := range spelled {
		text, err := spell()
		if err != nil || leaks(string(text), planted) || !strings.Contains(string(text), "[credential]") {
			t.Errorf("%s: %s, %v", name, text, err)
		}
	}
	// A codec that would write the field itself finds none, and says so.
	var out bytes.Buffer
	if err := gob.NewEncoder(&out).Encode(both); err == nil || leaks(out.String()+err.Error(), planted) {
		t.Errorf("gob: %q, %v", out.String(), err)
	}
	// What was hidden is not read back as if it were the credential.
	var back answer
	if err := json.Unmarshal([]byte(`{"S":"[credential]"}`), &back); err == nil || !back.S.Empty() {
		t.Errorf("read back: %v", err)
	}
}

func TestSecretEqual(t *testing.T) {
	a, b := vault.NewSecret(planted), vault.NewSecret(string([]byte(planted)))
	for _, c := range []struct {
		x, y vault.Secret
		want bool
	}{{a, b, true}, {a, vault.NewSecret(planted + "x"), false}, {a, vault.NewSecret(""), false}, {vault.Secret{}, vault.NewSecret(""), true}, {vault.Secret{}, a, false}} {
		if c.x.Equal(c.y) != c.want || c.y.Equal(c.x) != c.want {
			t.Errorf("equal is not %v", c.want)
		}
	}
	if a.Reveal() != planted || a.Empty() || !(vault.Secret{}).Empty() || (vault.Secret{}).Reveal() != "" {
		t.Error("revealed something else")
	}
}
