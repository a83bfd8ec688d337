package streams_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	aoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"golang.org/x/sync/errgroup"

	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
	"github.com/signalbox-dev/signalbox/integration/sdk/clients"
	"github.com/signalbox-dev/signalbox/integration/upstream"
)

// length is how many tokens an answer has that nobody cuts.
const length = 100

// rules are what a provider's broken streams are charged by.
var rules = []string{"seen", "ceiling", "drain"}

// broken is a stream that broke off, as its caller knows it.
type broken struct {
	what     string
	rule     string
	decision string // the id that Signalbox gave it
	tokens   int64  // of text that the caller saw
	err      error  // what the SDK said of the end; nil: the caller hung up
}

// speakers read a stream by an official SDK until they have seen so many tokens,
// then hang up; or to its end, whatever that is.
var speakers = map[string]func(ctx context.Context, l *line, rule string, stopAfter int64, steer ...string) broken{
	"chat completions": chat, "responses": response, "messages": message,
}

// A caller hangs up at each tenth of its answer: it is charged once, by the
// provider's rule, and between what it saw and what was held.
func TestACallerHangsUpAtEachTenth(t *testing.T) {
	l := start(t)
	streams := l.everyTenth(t, func(tenth int64) (stopAfter int64, steer []string) {
		return tenth * length / 10, []string{upstream.HeaderChunkDelay, "2ms"}
	})
	for _, s := range streams {
		if s.err != nil {
			t.Errorf("%s: %v", s.what, s.err)
		}
	}
	charged := l.chargedOnce(t, streams)
	for _, s := range streams {
		if got, whole := charged[s.decision].nano, cost(charged[s.decision].input, length); s.rule == "drain" && got != whole {
			t.Errorf("%s: charged %d; want %d, because the answer was read to its end", s.what, got, whole)
		}
	}
	for _, c := range l.provider.Calls() {
		if drained := strings.HasSuffix(c.Model, "drain"); c.Completed != drained {
			t.Errorf("%s was completed: %v; only who drains reads on", c.Model, c.Completed)
		}
	}
}

// A provider breaks off at each tenth: the SDK is told that it is no end, and the
// call is charged once, between what was seen and what was held.
func TestAProviderBreaksOffAtEachTenth(t *testing.T) {
	l := start(t)
	streams := l.everyTenth(t, func(tenth int64) (int64, []string) {
		return 10 * length, []string{upstream.HeaderCut, fmt.Sprint(3 + tenth*length/10)}
	})
	for _, s := range streams {
		if s.err == nil {
			t.Errorf("%s: the SDK took half an answer for a whole one", s.what)
		}
	}
	l.chargedOnce(t, streams)
}

// A provider reports an error at each tenth, in the stream: the SDK raises it, and
// the call is charged once, between what was seen and what was held.
func TestAnErrorEventAtEachTenth(t *testing.T) {
	l := start(t)
	streams := l.everyTenth(t, func(tenth int64) (int64, []string) {
		return 10 * length, []string{upstream.HeaderErrorEvent, fmt.Sprint(3 + tenth*length/10)}
	})
	for _, s := range streams {
		if s.err == nil {
			t.Errorf("%s: the SDK raised nothing", s.what)
		}
	}
	l.chargedOnce(t, streams)
}

// everyTenth opens a stream for each API, rule and tenth, a few at once.
func (l *line) everyTenth(t *testing.T, how func(tenth int64) (stopAfter int64, steer []string)) []broken {
	t.Helper()
	var all []*broken
	group, gctx := errgroup.WithContext(ctx(t))
	group.SetLimit(12)
	for name, speak := range speakers {
		for _, rule := range rules {
			for tenth := int64(1); tenth < 10; tenth++ {
				s := &broken{}
				all = append(all, s)
				group.Go(func() error {
					stopAfter, steer := how(tenth)
					*s = speak(gctx, l, rule, stopAfter, append(steer, upstream.HeaderOutput, fmt.Sprint(length))...)
					s.rule, s.what = rule, fmt.Sprintf("%s, rule %s, tenth %d", name, rule, tenth)
					if s.decision == "" {
						return fmt.Errorf("%s: no stream began: %w", s.what, s.err)
					}
					return nil
				})
			}
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	out := make([]broken, len(all))
	for i, s := range all {
		out[i] = *s
	}
	return out
}

// charge is what ClickHouse has of a call.
type charge struct{ rows, nano, held, input int64 }

// chargedOnce checks each stream's charge against what its caller saw and what was
// held, and the books against the charges' sum.
func (l *line) chargedOnce(t *testing.T, streams []broken) map[string]charge {
	t.Helper()
	got := l.charges(t, len(streams))
	var sum int64
	for _, s := range streams {
		c, ok := got[s.decision]
		least := cost(0, s.tokens)
		switch {
		case !ok || c.rows != 1:
			t.Errorf("%s: charged %d times", s.what, c.rows)
		case c.nano < least || c.nano > c.held:
			t.Errorf("%s: charged %d for %d tokens seen; want %d to %d", s.what, c.nano, s.tokens, least, c.held)
		case s.rule == "seen" && s.tokens <= length/5 && c.nano > c.held*9/10:
			t.Errorf("%s: charged %d of %d held for %d tokens seen; its rule is to charge what was seen", s.what, c.nano, c.held, s.tokens)
		case s.rule == "ceiling" && c.nano != c.held:
			t.Errorf("%s: charged %d; want the ceiling, %d", s.what, c.nano, c.held)
		}
		t.Logf("%s: saw %d tokens, charged %d of %d held", s.what, s.tokens, c.nano, c.held)
		sum += c.nano
	}
	l.balanced(t, sum)
	var billed int64
	for _, b := range l.provider.BilledByModel() {
		billed += cost(b.Input, b.Output)
	}
	if sum < billed {
		t.Errorf("%d was charged, and the provider billed %d", sum, billed)
	}
	return got
}

// charges waits until ClickHouse has so many calls.
func (l *line) charges(t *testing.T, want int) map[string]charge {
	t.Helper()
	const query = `SELECT u.decision_id AS id, count() AS rows, sum(u.charged_nano_usd) AS nano, sum(u.input_tokens) AS input, any(d.held_nano_usd) AS held
		FROM usage AS u INNER JOIN decisions AS d ON u.decision_id = d.decision_id GROUP BY id`
	got := map[string]charge{}
	rigtest.Eventually(t, "every stream is charged", func() error {
		rows, err := l.SQL(ctx(t), query)
		if err != nil {
			return err
		}
		clear(got)
		for _, row := range rows {
			var c charge
			for name, to := range map[string]*int64{"rows": &c.rows, "nano": &c.nano, "input": &c.input, "held": &c.held} {
				if _, err := fmt.Sscan(fmt.Sprint(row[name]), to); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			got[fmt.Sprint(row["id"])] = c
		}
		if len(got) != want {
			return fmt.Errorf("%d of %d are", len(got), want)
		}
		return nil
	})
	return got
}

func chat(ctx context.Context, l *line, rule string, stopAfter int64, steer ...string) (b broken) {
	client := clients.OpenAI(l.URL(), l.key, append(openAISteer(steer), option.WithMaxRetries(0))...)
	var head *http.Response
	stream := client.Chat.Completions.NewStreaming(ctx, openai.ChatCompletionNewParams{Model: "gpt-" + rule, MaxTokens: openai.Int(4 * length),
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Tell me of the signal box.")}}, option.WithResponseInto(&head))
	defer stream.Close()
	for b.tokens < stopAfter && stream.Next() {
		if chunk := stream.Current(); len(chunk.Choices) > 0 && chunk.Choices[0].Delta.Content != "" {
			b.tokens++
		}
	}
	b.ends(head, stream.Err(), stopAfter)
	return b
}

func response(ctx context.Context, l *line, rule string, stopAfter int64, steer ...string) (b broken) {
	client := clients.OpenAI(l.URL(), l.key, append(openAISteer(steer), option.WithMaxRetries(0))...)
	var head *http.Response
	stream := client.Responses.NewStreaming(ctx, responses.ResponseNewParams{Model: "gpt-" + rule, MaxOutputTokens: openai.Int(4 * length),
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Tell me of the signal box.")}}, option.WithResponseInto(&head))
	defer stream.Close()
	for b.tokens < stopAfter && stream.Next() {
		if stream.Current().Type == "response.output_text.delta" {
			b.tokens++
		}
	}
	b.ends(head, stream.Err(), stopAfter)
	return b
}

func message(ctx context.Context, l *line, rule string, stopAfter int64, steer ...string) (b broken) {
	options := []aoption.RequestOption{aoption.WithMaxRetries(0)}
	for i := 0; i < len(steer); i += 2 {
		options = append(options, aoption.WithHeader(steer[i], steer[i+1]))
	}
	client := clients.Anthropic(l.URL(), l.key, options...)
	var head *http.Response
	stream := client.Messages.NewStreaming(ctx, anthropic.MessageNewParams{Model: anthropic.Model("claude-" + rule), MaxTokens: 4 * length,
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Tell me of the signal box."))}}, aoption.WithResponseInto(&head))
	defer stream.Close()
	for b.tokens < stopAfter && stream.Next() {
		if stream.Current().Type == "content_block_delta" {
			b.tokens++
		}
	}
	b.ends(head, stream.Err(), stopAfter)
	return b
}

// ends notes how a stream ended for its caller.
func (b *broken) ends(head *http.Response, err error, stopAfter int64) {
	if head != nil {
		b.decision = head.Header.Get("X-Signalbox-Decision")
	}
	b.err = err
	if b.err == nil && b.tokens < stopAfter && stopAfter <= length {
		b.err = errors.New("the stream ended before the caller did")
	}
}

func openAISteer(pairs []string) (options []option.RequestOption) {
	for i := 0; i < len(pairs); i += 2 {
		options = append(options, option.WithHeader(pairs[i], pairs[i+1]))
	}
	return options
}
