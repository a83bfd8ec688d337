package decision

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
)

// note is what we must still know of a call when its report comes, which may be
// after a restart and at another replica: it travels in the report token and
// stands beside the hold on disk.
type note struct {
	DecisionID, CallID string
	At                 time.Time
	RegistryVersion    int64
	Principal          journal.Principal
	Gateway, Dialect   string
	Model              string
	ServiceTier        string
	Deployments        []string // in the answer's order
	Input, MaxOutput   int64    // tokens, as held for one try
	Answers            int64
	HeldNanoUSD        int64 // for all tries

	OutputExtra int64 // tokens, as held for one try beside the answers
	Attempts    int64 // tries that the hold pays for; 0: one
	Background  int64 // 1: the provider goes on when the call is over

	Tools []llm.Fee // the provider's tools, as often as one try may use them
}

// The first byte of an encoded note. Most notes are written as they always were:
// during an upgrade a replica of the version before takes reports of them too.
const (
	notePlain    = 1
	noteExtended = 2 // with its extensions behind
	noteTooled   = 3 // and its tools behind those
)

// maxStrings bounds lists in a note, so that damaged bytes cannot ask for memory.
const maxStrings = 256

func (c *Case) callID() string {
	if c.Request.CallID != "" {
		return c.Request.CallID
	}
	return c.ID
}

// tenant is the journal key of what this case writes; a caller we do not know
// has none.
func (c *Case) tenant() string {
	if c.Caller.Tenant == nil {
		return ""
	}
	return c.Caller.Tenant.Name
}

func (c *Case) principal() journal.Principal {
	if c.Caller.App == nil {
		return journal.Principal{}
	}
	a := &c.Subject.Attributes
	p := journal.Principal{Tenant: c.Caller.Tenant.Name, Team: c.Caller.App.Team, App: c.Caller.App.Name, Key: c.Caller.Key.ID,
		User: a.User, Session: a.Session, Agent: a.Agent, Tags: a.Tags}
	if len(c.Verdict.Tags) > 0 {
		p.Tags = cloneTags(p.Tags)
		for k, v := range c.Verdict.Tags {
			if _, inherited := p.Tags[k]; !inherited {
				p.Tags[k] = v
			}
		}
	}
	return p
}

func (c *Case) note(p *Plan) note {
	ceiling := &c.Candidates[c.Held.Candidate].Ceiling
	n := note{
		DecisionID: c.ID, CallID: c.callID(), At: c.At, RegistryVersion: c.World.Version,
		Principal: c.principal(), Gateway: c.Request.Gateway, Dialect: string(c.Ask.Dialect),
		Model: p.Deployments[0].Model, ServiceTier: ceiling.Tier,
		Input: ceiling.Input, MaxOutput: p.Hold.MaxOutputTokens, Answers: ceiling.Answers, OutputExtra: ceiling.OutputExtra,
		HeldNanoUSD: p.Hold.NanoUSD,
	}
	n.Tools = ceiling.Tools
	if ceiling.Attempts > 1 {
		n.Attempts = ceiling.Attempts
	}
	if c.Ask.Background {
		n.Background = 1
	}
	for _, d := range p.Deployments {
		n.Deployments = append(n.Deployments, d.Name)
	}
	return n
}

// noteMost is the longest note that the ledger keeps beside a hold.
const noteMost = 1536

// kept is the note as it stands beside the hold on disk: whole, if there is room.
// Tags and a long failover list have no bound of their own, and must not stand in
// the way of a call.
func (n note) kept() []byte {
	for _, less := range [...]note{n, n.withoutTags()} {
		if b := less.encode(); len(b) <= noteMost {
			return b
		}
	}
	return n.withoutTags().withoutDeployments().encode()
}

// withoutTags is the note as a token carries it; the replica that decided has
// the tags.
func (n note) withoutTags() note {
	n.Principal.Tags = nil
	return n
}

// withoutDeployments is a note that takes any deployment of its model at its word.
func (n note) withoutDeployments() note {
	n.Deployments = nil
	return n
}

// answered reports whether a deployment was in the answer to the call.
func (n *note) answered(world *registry.Snapshot, deployment string) bool {
	if len(n.Deployments) > 0 {
		return slices.Contains(n.Deployments, deployment)
	}
	d, ok := world.Deployment(deployment)
	return ok && d.Model == n.Model
}

// deployment is the one that answered: the first of the answer, if nobody says.
func (n *note) deployment(r Report) string {
	if r.Deployment == "" && len(n.Deployments) > 0 {
		return n.Deployments[0]
	}
	return r.Deployment
}

// most is what one try could use at most.
func (n *note) most() journal.Tokens {
	return journal.Tokens{Input: n.Input, Output: n.MaxOutput*max(1, n.Answers) + n.OutputExtra}
}

// tries is how many tries the hold pays for.
func (n *note) tries() int64 { return max(1, n.Attempts) }

// worth is what was held for this many tries, of what was held for all. Money is held
// for the tries together, with room to round up each.
func (n *note) worth(tries, held int64) int64 {
	rounding := n.tries() - 1
	all, ok := multiply(tries, (max(0, held-rounding)+rounding)/n.tries())
	if !ok {
		return maxNano
	}
	return all
}

func (n note) encode() []byte {
	extensions := n.extensions()
	b := append(make([]byte, 0, 384), notePlain)
	switch {
	case len(n.Tools) > 0:
		b[0] = noteTooled
	case slices.ContainsFunc(extensions, func(v *int64) bool { return *v != 0 }):
		b[0] = noteExtended
	}
	for _, s := range n.strings() {
		b = appendString(b, *s)
	}
	for _, v := range n.numbers() {
		b = binary.AppendVarint(b, *v)
	}
	b = binary.AppendVarint(b, n.At.UnixNano())
	b = binary.AppendUvarint(b, uint64(len(n.Deployments)))
	for _, d := range n.Deployments {
		b = appendString(b, d)
	}
	tags := make([]string, 0, len(n.Principal.Tags))
	for k := range n.Principal.Tags {
		tags = append(tags, k)
	}
	slices.Sort(tags)
	b = binary.AppendUvarint(b, uint64(len(tags)))
	for _, k := range tags {
		b = appendString(appendString(b, k), n.Principal.Tags[k])
	}
	if b[0] >= noteExtended {
		for _, v := range extensions {
			b = binary.AppendVarint(b, *v)
		}
	}
	if b[0] >= noteTooled {
		b = appendTools(b, n.Tools)
	}
	return b
}

// appendTools writes each tool with twice its maximum, and one more where it is
// shared.
func appendTools(b []byte, tools []llm.Fee) []byte {
	b = binary.AppendUvarint(b, uint64(len(tools)))
	for _, t := range tools {
		n := uint64(t.Max) << 1
		if t.Together {
			n++
		}
		b = binary.AppendUvarint(appendString(b, t.Tool), n)
	}
	return b
}

// strings, numbers and extensions list the note's fields in the order of its bytes:
// new ones go last, under a new version.
func (n *note) strings() []*string {
	p := &n.Principal
	return []*string{&n.DecisionID, &n.CallID, &p.Tenant, &p.Team, &p.App, &p.Key, &p.User, &p.Session, &p.Agent,
		&n.Gateway, &n.Dialect, &n.Model, &n.ServiceTier}
}

func (n *note) numbers() []*int64 {
	return []*int64{&n.RegistryVersion, &n.Input, &n.MaxOutput, &n.Answers, &n.HeldNanoUSD}
}

func (n *note) extensions() []*int64 { return []*int64{&n.OutputExtra, &n.Attempts, &n.Background} }

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeNote reads what encode wrote.
func decodeNote(b []byte) (note, error) {
	var n note
	if len(b) == 0 || b[0] < notePlain || b[0] > noteTooled {
		return n, errors.New("note: unknown version")
	}
	r := reader{rest: b[1:]}
	for _, s := range n.strings() {
		*s = r.string()
	}
	for _, v := range n.numbers() {
		*v = r.varint()
	}
	n.At = time.Unix(0, r.varint()).UTC()
	n.Deployments = make([]string, r.count())
	for i := range n.Deployments {
		n.Deployments[i] = r.string()
	}
	if tags := r.count(); tags > 0 {
		n.Principal.Tags = make(map[string]string, tags)
		for range tags {
			k := r.string()
			n.Principal.Tags[k] = r.string()
		}
	}
	if b[0] >= noteExtended {
		for _, v := range n.extensions() {
			*v = r.varint()
		}
	}
	if b[0] >= noteTooled {
		n.Tools = r.tools()
	}
	if r.err == nil && len(r.rest) > 0 {
		r.err = fmt.Errorf("note: %d bytes too many", len(r.rest))
	}
	return n, r.err
}

// reader takes fields off the front of bytes that may be damaged.
type reader struct {
	rest []byte
	err  error
}

var errCut = errors.New("note: cut short")

// fail ends the reading: what is taken afterwards is zero.
func (r *reader) fail(err error) { r.err, r.rest = err, nil }

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail(errCut)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail(errCut)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) string() string {
	n := r.uvarint()
	if n > uint64(len(r.rest)) || n > math.MaxInt32 {
		r.fail(errCut)
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

// tools reads what appendTools wrote.
func (r *reader) tools() []llm.Fee {
	var tools []llm.Fee
	for range r.count() {
		name, most := r.string(), r.uvarint()
		tools = append(tools, llm.Fee{Tool: name, Max: int64(most >> 1), Together: most&1 == 1})
	}
	return tools
}

func (r *reader) count() int {
	n := r.uvarint()
	if n > maxStrings {
		r.fail(errors.New("note: a list is too long"))
		return 0
	}
	return int(n)
}
