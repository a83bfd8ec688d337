package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/adapters/door"
)

// decideOptions is what the flags say.
type decideOptions struct {
	file    string
	method  string
	path    string
	callID  string
	gateway string
	headers []string
}

func newDecideCmd(g *globals) *cobra.Command {
	var o decideOptions
	cmd := &cobra.Command{
		Use:   "decide -f BODY",
		Short: "Ask what would be decided about a call, as a gateway asks",
		Long: `Sends a caller's request to /v1/decide and prints the answer. It is a real
decision: money is held for it until the hold's time is over. The caller's key is
read from SIGNALBOX_KEY, or given as a header.`,
		Example: `  SIGNALBOX_KEY=sbx_… signalbox decide -f body.json
  echo '{"model":"gpt-4o","messages":[]}' | signalbox decide -f - -H 'x-signalbox-user: alice' -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return decide(cmd.Context(), g, o) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.file, "file", "f", "", "the caller's body; - is standard input")
	flags.StringVar(&o.method, "method", "POST", "the caller's method")
	flags.StringVar(&o.path, "path", "/v1/chat/completions", "the caller's path")
	flags.StringVar(&o.callID, "call-id", "", "the gateway's own name for the call")
	flags.StringVar(&o.gateway, "gateway", "", "the gateway that asks")
	flags.StringArrayVarP(&o.headers, "header", "H", nil, "a header of the caller, as 'name: value'")
	return cmd
}

func decide(ctx context.Context, g *globals, o decideOptions) error {
	envelope, err := question(g, o)
	if err != nil {
		return err
	}
	headers := map[string]string{}
	if strings.HasPrefix(g.Token, "sbg_") {
		headers["X-Signalbox-Gateway-Token"] = g.Token
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	res, err := g.send(ctx, "POST", "/v1/decide", envelope, headers)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := refused(res); err != nil {
		return err
	}
	var raw json.RawMessage
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&raw); err != nil {
		return fmt.Errorf("%s answered something that cannot be read; is it Signalbox, and of this version?", g.URL)
	}
	var answer door.Answer
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if g.json() {
		err = g.document(raw)
	} else {
		err = g.printAnswer(&answer)
	}
	if err == nil && answer.Action == "deny" {
		return fmt.Errorf("refused: %s", oneLine(why(&answer)))
	}
	return err
}

func why(a *door.Answer) string {
	if len(a.Reasons) == 0 {
		return "no reason was given"
	}
	return a.Reasons[0].Code + ": " + a.Reasons[0].Message
}

// question is the envelope of POST /v1/decide.
func question(g *globals, o decideOptions) (map[string]any, error) {
	headers := map[string]string{}
	if key := os.Getenv("SIGNALBOX_KEY"); key != "" {
		headers["authorization"] = "Bearer " + key
	}
	for _, h := range o.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, usagef("-H %s: want 'name: value'", strings.TrimSpace(name))
		}
		headers[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	request := map[string]any{"method": o.method, "path": o.path, "headers": headers}
	body, err := callerBody(o.file, g.Stdin)
	if err != nil {
		return nil, err
	}
	if utf8.Valid(body) {
		request["body"] = string(body)
	} else {
		request["body_base64"] = base64.StdEncoding.EncodeToString(body)
	}
	envelope := map[string]any{"request": request}
	if o.callID != "" {
		envelope["call_id"] = o.callID
	}
	if o.gateway != "" {
		envelope["gateway"] = o.gateway
	}
	return envelope, nil
}

func callerBody(file string, stdin io.Reader) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	var body []byte
	var err error
	if file == "-" {
		body, err = io.ReadAll(io.LimitReader(stdin, 2*door.DefaultBody))
	} else {
		body, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read the caller's body: %w", err)
	}
	if len(body) >= 2*door.DefaultBody {
		return nil, errors.New("the caller's body is larger than any that is judged")
	}
	return body, nil
}

// printAnswer prints what a person wants to know of an answer.
func (g *globals) printAnswer(a *door.Answer) error {
	rows := [][]string{{"decision", a.DecisionID}, {"action", a.Action}}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	add("call", a.CallID)
	add("changes", strings.Join(a.Changes, ", "))
	for _, d := range a.Deployments {
		add("deployment", fmt.Sprintf("%s (%s://%s%s as %s)", d.Name, d.Scheme, d.Host, d.Path, d.UpstreamModel))
	}
	if h := a.Hold; h != nil {
		add("held", fmt.Sprintf("%s usd, %d tokens, at most %d of output, until %s", h.USD, h.Tokens, h.MaxOutputTokens, when(h.ExpiresAt, "the report")))
	}
	if a.Response != nil {
		add("status", fmt.Sprint(a.Response.Status))
		add("retry after", a.Response.Headers["retry-after"])
	}
	for _, r := range a.Reasons {
		add("reason", r.Code+": "+r.Message)
	}
	for _, r := range a.Warnings {
		add("warning", r.Code+": "+r.Message)
	}
	add("policy", a.PolicyRevision)
	add("registry", fmt.Sprint(a.RegistryVersion))
	return g.table([]string{"field", "value"}, rows)
}
