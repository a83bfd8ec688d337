package accesslog

import (
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/health"
	"github.com/signalbox-dev/signalbox/decision/llm"
	"github.com/signalbox-dev/signalbox/journal"
)

// logged is one entry about a call that we allowed.
type logged struct {
	entry   *datav3.HTTPAccessLogEntry
	call    envoy.Call
	authz   bool // ext_authz let it through, and not ext_proc
	tries   []envoy.Tried
	usage   envoy.Usage
	ended   ending
	at      string // the deployment that answered, or was to; "": not known
	status  int    // that it answered with; 0: it did not
	gateway string
}

// read reads an entry; false: it is about no call that we allowed.
func read(e *datav3.HTTPAccessLogEntry, gateway string) (logged, bool) {
	namespaces := e.GetCommonProperties().GetMetadata().GetFilterMetadata()
	call, authz, ok := envoy.ReadLogged(namespaces)
	if !ok {
		return logged{}, false
	}
	l := logged{entry: e, call: call, authz: authz, gateway: gateway, ended: endingOf(e),
		tries: envoy.ReadTries(&call, namespaces[envoy.NamespaceTries]),
		usage: envoy.ReadUsage(call.Dialect, namespaces[envoy.NamespaceUsage])}
	l.at = l.deployment()
	if l.ended != unsent {
		l.status = int(e.GetResponse().GetResponseCode().GetValue())
	}
	if l.ended == brokeOff {
		l.status = l.brokenStatus()
	}
	return l, true
}

// deployment is who had the last try, or was to have it: the n-th try goes to the n-th
// of the order. Envoy's count says so also where the try found no cluster any more, and
// the entry still names the one before. Routes of somebody's own count tries of theirs.
func (l *logged) deployment() string {
	if len(l.call.Order) == 0 {
		return ""
	}
	c, last := l.entry.GetCommonProperties(), 0
	name, ours := envoy.Deployment(c.GetUpstreamCluster())
	if ours {
		last = max(last, slices.Index(l.call.Order, name))
	}
	if n := len(l.tries); n > 0 {
		last, ours = max(last, slices.Index(l.call.Order, l.tries[n-1].Deployment)), true
	}
	if ours {
		last = max(last, int(min(c.GetUpstreamRequestAttemptCount(), uint32(len(l.call.Order))))-1)
	}
	return l.call.Order[last]
}

// brokenStatus is what a provider answered with whose answer broke off. The entry's own
// status may be Envoy's, which it gave the caller instead.
func (l *logged) brokenStatus() int {
	if !l.began() {
		return 0
	}
	for _, t := range l.tries {
		if t.Deployment == l.at && t.Status != 0 {
			return t.Status
		}
	}
	return l.status
}

// began reports whether a provider's answer had begun.
func (l *logged) began() bool {
	return l.entry.GetCommonProperties().GetTimeToFirstUpstreamRxByte() != nil
}

// report is what the decision is told of the call.
func (l *logged) report() decision.Report {
	r := decision.Report{Token: l.call.Token, Gateway: l.gateway, Deployment: l.at, Status: l.status, Source: journal.SourceAccessLog,
		SeenOutputTokens: -1, Learnt: true, Attempts: envoy.Before(&l.call, l.tries, l.at)}
	l.took(&r)
	switch l.ended {
	case unsent:
		l.nobody(&r)
	case answered:
		l.ending(&r)
	default:
		r.Outcome = journal.OutcomeAborted
		l.usedOrSeen(&r)
	}
	if r.Usage != nil && l.retriedByOthers() {
		r.Rank = min(r.Rank, journal.RankEstimate)
	}
	return r
}

// nobody is a call whose last try was not sent. It cost nothing unless one before it did.
func (l *logged) nobody(r *decision.Report) {
	r.Outcome = journal.OutcomeNotSent
	for _, a := range r.Attempts {
		if a.Outcome != journal.OutcomeNotSent {
			r.Outcome = journal.OutcomeFailed
		}
	}
	r.TTFTMS = 0
}

// ending is a call that a provider answered to the end.
func (l *logged) ending(r *decision.Report) {
	switch {
	case l.status >= 400:
		r.Outcome, r.TTFTMS = journal.OutcomeFailed, 0
	case l.status < 200 || l.status >= 300:
		// Nobody's answer, and bills nothing.
		r.Outcome, r.Status, r.TTFTMS = journal.OutcomeNotSent, 0, 0
	case l.usage.Failed:
		r.Outcome = journal.OutcomeFailed
		l.usedOrSeen(r)
	default:
		r.Outcome = journal.OutcomeCompleted
		l.used(r, true)
	}
}

// usedOrSeen is for an answer that did not end as it should. Of a call of ext_proc's we
// do not guess what was seen: that filter knows it better, and where it does not it
// says so in the same rank as ours, in which whoever comes first stands.
func (l *logged) usedOrSeen(r *decision.Report) {
	if !l.used(r, l.usage.Final) && l.authz {
		l.seen(r)
	}
}

// used adds the provider's own figures, if they are its last ones and can be true.
func (l *logged) used(r *decision.Report, final bool) bool {
	if !final || l.usage.Said == nil || l.usage.Unfinished {
		return false
	}
	tokens, tier, err := llm.Usage(l.call.Dialect, l.usage.Said)
	if err != nil || tokens.Input == 0 && tokens.Output == 0 {
		return false // no prompt is empty: who does not count fills in zeros
	}
	r.Usage, r.ServiceTier, r.Rank = &tokens, tier, journal.RankExact
	return true
}

// seen bounds what had come of an answer that broke off. No token takes less than a
// byte, so that the bytes of a stream bound its tokens; a document was written whole,
// however much of it came, and encoded bytes bound nothing.
func (l *logged) seen(r *decision.Report) {
	if l.usage.Said != nil {
		if tokens, _, err := llm.Usage(l.call.Dialect, l.usage.Said); err == nil && tokens.Input > 0 {
			tokens.Output, tokens.Reasoning, tokens.Other = 0, 0, nil
			r.SeenInput = &tokens
		}
	}
	headers := l.entry.GetResponse().GetResponseHeaders()
	kind, _, err := mime.ParseMediaType(headers["content-type"])
	coding := headers["content-encoding"]
	if err != nil || kind != "text/event-stream" || coding != "" && !strings.EqualFold(coding, "identity") || !l.began() {
		return
	}
	bytes := max(l.entry.GetResponse().GetResponseBodyBytes(), l.entry.GetCommonProperties().GetUpstreamWireBytesReceived())
	r.SeenOutputTokens = int64(min(bytes, 1<<40))
}

// took adds how long the last try took, and its first byte: of the try, and not of the
// call, where Envoy says when that was sent.
func (l *logged) took(r *decision.Report) {
	c := l.entry.GetCommonProperties()
	sent := c.GetTimeToFirstUpstreamTxByte().AsDuration()
	r.LatencyMS = milliseconds(c.GetDuration(), sent)
	if l.began() {
		r.TTFTMS = max(1, milliseconds(c.GetTimeToFirstUpstreamRxByte(), sent))
	}
}

// milliseconds rounds up: a time that was measured is never reported as none.
func milliseconds(until *durationpb.Duration, from time.Duration) int64 {
	d := until.AsDuration() - from
	return int64(max(0, (d+time.Millisecond-1)/time.Millisecond))
}

// retriedByOthers reports whether routes that are not ours tried the call more than
// once. What those tries cost is not in the log. Envoy's usual reasons bill nothing, so
// nothing is charged, and the figures are no more than an estimate.
func (l *logged) retriedByOthers() bool {
	return len(l.tries) == 0 && l.entry.GetCommonProperties().GetUpstreamRequestAttemptCount() > 1
}

// learn tells the board of health what the tries showed. Of a call of ext_proc's, that
// filter has told already, and sooner.
func (l *logged) learn(board Health) {
	if !l.authz {
		return
	}
	began := l.started()
	for _, t := range l.tries {
		if t.Deployment != l.at {
			board.Learn(t.Deployment, shown(t.Status, t.Header, began))
		}
	}
	reset := l.ended == unsent && strings.HasPrefix(l.entry.GetResponse().GetResponseCodeDetails(), resetBefore)
	if l.at == "" || l.left() || l.ended == unsent && !reset {
		return // that the caller left, or Envoy had no room, says nothing of the deployment
	}
	sign := shown(l.status, l.header(), began)
	sign.Whole = l.ended == answered && l.status < 300 && !l.usage.Failed
	sign.Failed = sign.Failed || l.ended != answered
	board.Learn(l.at, sign)
}

// shown is what a try showed; without a status it was not answered.
func shown(status int, header http.Header, began time.Time) health.Sign {
	if status == 0 {
		return health.Sign{Failed: true, Began: began}
	}
	return door.Shown(status, header, began)
}

// started is when the call began, by Envoy's clock; zero where it does not say.
func (l *logged) started() time.Time {
	if at := l.entry.GetCommonProperties().GetStartTime(); at.IsValid() {
		return at.AsTime()
	}
	return time.Time{}
}

// left reports whether it was the caller who ended the call.
func (l *logged) left() bool {
	f := l.entry.GetCommonProperties().GetResponseFlags()
	return strings.HasPrefix(l.entry.GetResponse().GetResponseCodeDetails(), "downstream_") || f.GetDownstreamConnectionTermination() || f.GetDownstreamRemoteReset()
}

// header is what is known of the last answer's.
func (l *logged) header() http.Header {
	for _, t := range l.tries {
		if t.Deployment == l.at {
			return t.Header
		}
	}
	header := http.Header{}
	for name, value := range l.entry.GetResponse().GetResponseHeaders() {
		header.Set(name, value)
	}
	return header
}
