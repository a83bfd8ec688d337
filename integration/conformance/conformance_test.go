package conformance_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/integration/rig/rigtest"
	"github.com/signalbox-dev/signalbox/integration/upstream"
	"github.com/signalbox-dev/signalbox/journal"
	money "github.com/signalbox-dev/signalbox/registry"
)

func TestMain(m *testing.M) { os.Exit(rigtest.Main(m)) }

// doors are all of them. The first is what the others are held against.
func doors() []way {
	return []way{
		&asker{called: "http", via: throughHTTP},
		&asker{called: "grpc", via: throughGRPC},
		&byProxy{},
		&byAuthz{called: "authz", profile: envoy.ProfileOrder},
		&byAuthz{called: "authz-header", profile: envoy.ProfileHeader},
		&byAuthzHTTP{},
		&byProc{called: "proc", profile: envoy.ProfileOrder},
		&byProc{called: "proc-header", profile: envoy.ProfileHeader},
	}
}

// played is a call that was taken through a door.
type played struct {
	*call
	reply    *reply
	decision string
	before   string          // the decision of the call before, "" if there was none
	billed   []upstream.Call // what the provider saw of it
}

// Every story through every door: one decision, one request at the provider, one charge.
func TestEveryDoorDecidesAndChargesTheSame(t *testing.T) {
	all, told := doors(), stories(t)
	w := open(t, all)
	for _, d := range all {
		d.open(t, w)
	}
	var plays []*played
	asked := 0
	for _, s := range told {
		for _, d := range all {
			c := s.at(d, w.keys)
			p := &played{call: c}
			asked++
			if s.Before {
				asked++
				p.before = d.take(within(t), t, c.before()).decision()
			}
			p.reply = d.take(within(t), t, c)
			p.decision = p.reply.decision()
			plays = append(plays, p)
		}
	}
	scenes := map[string][]upstream.Call{}
	for _, c := range w.provider.Calls() {
		scene := c.Header.Get(headerScene)
		scenes[scene] = append(scenes[scene], c)
	}
	for _, p := range plays {
		p.billed = scenes[p.id]
	}
	rows := w.read(t, plays)
	if n := len(rows.decisions); n != asked {
		t.Errorf("%d decisions are written down of %d calls", n, asked)
	}
	for _, p := range plays {
		t.Run(p.file+"/"+p.door.name(), func(t *testing.T) { p.judge(t, rows) })
	}
	for _, s := range told {
		t.Run(s.file+"/agreed", func(t *testing.T) { s.agreed(t, plays, rows) })
	}
}

// judge holds one call to its story.
func (p *played) judge(t *testing.T, rows *written) {
	want, d := p.of(p.door), rows.decisions[p.decision]
	status := want.Status
	if status == 0 {
		status = 200
	}
	if p.reply.status != status {
		t.Errorf("the caller reads %d %s; want %d", p.reply.status, p.reply.body, status)
	}
	said := fmt.Sprintf("%s [%s] [%s] [%s] %d", d.action, d.reasons, d.changes, general(p.door, d.deployments), d.maxOutput)
	if wants := fmt.Sprintf("%s [%s] [%s] [%s] %d", want.Action, strings.Join(want.Reasons, " "), strings.Join(want.Changes, " "),
		strings.Join(want.Deployments, " "), want.MaxOutput); said != wants {
		t.Errorf("decided %s, want %s", said, wants)
	}
	var tries []string
	var charged int64
	known := want.known(p.door.traits())
	for _, r := range rows.usage[p.decision] {
		tries = append(tries, general(p.door, r.String()))
		charged += r.charged
		if r.known != known {
			t.Errorf("%s is known by %s, want %s", r, r.known, known)
		}
	}
	if !slices.Equal(tries, want.Tries) {
		t.Errorf("settled as %q, want %q", tries, want.Tries)
	}
	least := nano(t, want.Costs)
	if most := max(least, nano(t, want.Most)); charged < least || charged > most {
		t.Errorf("%s are charged, want %s to %s", usd(charged), usd(least), usd(most))
	}
	all := charged
	for _, r := range rows.usage[p.before] {
		all += r.charged
	}
	if spent := rows.spent[p.meter]; spent != all {
		t.Errorf("%s are charged and %s are spent of the budget", usd(all), usd(spent))
	}
	p.judgeProvider(t, rows)
}

func (w *want) known(by traits) string {
	switch {
	case by.logged && w.Logged != "":
		return w.Logged
	case w.Known != "":
		return w.Known
	}
	return "exact"
}

func nano(t *testing.T, usd string) int64 {
	t.Helper()
	if usd == "" {
		return 0
	}
	n, err := money.ParseUSD(usd)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// judgeProvider holds the charge to the provider's own bill, and looks for keys at it.
func (p *played) judgeProvider(t *testing.T, rows *written) {
	var billed int64
	for _, c := range p.billed {
		if c.Completed {
			billed += costs(c.Usage)
		}
		for name, values := range c.Header {
			if strings.Contains(strings.Join(values, " "), decision.KeyPrefix) || strings.HasPrefix(name, "X-Signalbox") {
				t.Errorf("the provider was shown %s", name)
			}
		}
	}
	var exact, charged int64
	for _, r := range rows.usage[p.decision] {
		charged += r.charged
		if r.known == "exact" {
			exact += r.charged
		}
	}
	if exact != billed && exact == charged || charged < billed {
		t.Errorf("%s are charged, and the provider billed %s", usd(charged), usd(billed))
	}
}

// costs is what tokens are charged at this world's prices.
func costs(t journal.Tokens) int64 {
	plain := t.Input - t.Cached - t.CacheWrite - t.CacheWriteLong
	return 2_500*plain + 1_250*t.Cached + 3_125*t.CacheWrite + 5_000*t.CacheWriteLong + 10_000*t.Output
}

// agreed holds the doors of a story against each other: all that is written of the
// decision, what the provider was asked, and what the caller reads. Doors
// that can do less agree among themselves where the story has an outcome for them.
func (s *story) agreed(t *testing.T, plays []*played, rows *written) {
	first := map[*want]*played{}
	for _, p := range plays {
		if p.story != s {
			continue
		}
		want := p.of(p.door)
		other := first[want]
		if other == nil {
			first[want] = p
			continue
		}
		for what, of := range map[string]func(p *played) string{
			"the decision":        func(p *played) string { return general(p.door, rows.decisions[p.decision].rest) },
			"the usage":           func(p *played) string { return p.used(rows) },
			"the provider's call": (*played).asked,
			"the caller's answer": (*played).told,
		} {
			if got, want := of(p), of(other); got != want && got != "" && want != "" {
				t.Errorf("%s is not the same:\n%s: %s\n%s: %s", what, p.door.name(), got, other.door.name(), want)
			}
		}
	}
}

func (p *played) general(text string) string { return general(p.door, text) }

// used is what was settled, unless each gateway sees as much of it as it can.
func (p *played) used(rows *written) string {
	if p.of(p.door).Most != "" {
		return ""
	}
	var all []string
	for _, r := range rows.usage[p.decision] {
		all = append(all, p.general(fmt.Sprintf("%s: %s, %d", r, r.tokens, r.charged)))
	}
	return strings.Join(all, "\n")
}

// asked is what the provider was asked, but for headers.
func (p *played) asked() string {
	var all []string
	for _, c := range p.billed {
		all = append(all, fmt.Sprintf("%s %s?%s %s %s: %d", c.Method, c.Path, c.Query, c.Header.Get("Content-Type"), c.Body, c.Status))
	}
	return p.general(strings.Join(all, "\n"))
}

// numbers are what a provider counts its answers by, and the second it gave them in.
var numbers = regexp.MustCompile(`\d{10,}`)

// told is what the caller reads, but for what names this call. How an answer breaks off
// is each gateway's own; and who only has the access log cannot leave out of a stream
// what its caller did not ask for.
func (p *played) told() string {
	want := p.of(p.door)
	if want.Most != "" || p.door.traits().logged && slices.Contains(want.Changes, "usage_requested") {
		return ""
	}
	text := strings.ReplaceAll(p.reply.body, p.meter, "{session}")
	if p.decision != "" {
		text = strings.ReplaceAll(text, p.decision, "{decision}")
	}
	if len(p.billed) > 0 {
		text = numbers.ReplaceAllString(p.general(text), "{number}")
	}
	again := p.reply.header.Get("Retry-After") != "" // how many seconds depends on when it was asked
	return fmt.Sprint(text, p.reply.header.Get("Content-Type"), again)
}

func usd(nano int64) string { return fmt.Sprintf("%.9f", float64(nano)/1e9) }
