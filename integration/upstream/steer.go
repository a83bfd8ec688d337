package upstream

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Steering headers. A gateway passes on headers that it does not know, so they
// work through one as well as without.
const (
	HeaderStatus     = "x-upstream-status"      // answer with this status and an error
	HeaderRetryAfter = "x-upstream-retry-after" // what a steered 429 or 529 says, in seconds
	HeaderOutput     = "x-upstream-output"      // write exactly this many tokens, reasoning included
	HeaderDelay      = "x-upstream-delay"       // before the answer's headers
	HeaderChunkDelay = "x-upstream-chunk-delay" // before each token of a stream
	HeaderCut        = "x-upstream-cut"         // break the connection after this many chunks; 0: before the headers
	HeaderErrorEvent = "x-upstream-error-event" // the dialect's error event after this many chunks, and the end
	HeaderOnly       = "x-upstream-only"        // comma separated models: status, delays, cut and error event are for these alone
	HeaderCached     = "x-upstream-cached"      // this many tokens of the prompt were in the cache
	HeaderCacheWrite = "x-upstream-cache-write" // this many tokens of the prompt were written to it
	HeaderReasoning  = "x-upstream-reasoning"   // this many tokens of the output are reasoning
	HeaderNoUsage    = "x-upstream-no-usage"    // 1: the answer does not say what was used
	HeaderSearches   = "x-upstream-searches"    // search the web so often, where the body has the tool and allows it
)

// steer is what a test asked for.
type steer struct {
	status            int
	retryAfter        string
	output, reasoning int64 // -1: as the body has it
	cached            int64
	cacheWrite        int64
	searches          int64
	delay, chunkDelay time.Duration
	cut, fault        int // -1: not at all
	noUsage           bool
	only              []string
}

func steerOf(h http.Header) steer {
	s := steer{
		status: int(number(h, HeaderStatus, 0)), retryAfter: h.Get(HeaderRetryAfter),
		output: number(h, HeaderOutput, -1), reasoning: number(h, HeaderReasoning, -1),
		cached: number(h, HeaderCached, 0), cacheWrite: number(h, HeaderCacheWrite, 0),
		searches: number(h, HeaderSearches, 0),
		delay:    duration(h, HeaderDelay), chunkDelay: duration(h, HeaderChunkDelay),
		cut: int(number(h, HeaderCut, -1)), fault: int(number(h, HeaderErrorEvent, -1)),
		noUsage: h.Get(HeaderNoUsage) == "1",
	}
	if s.status < 400 || s.status > 599 {
		s.status = 0
	}
	if only := h.Get(HeaderOnly); only != "" {
		s.only = strings.Split(strings.ReplaceAll(only, " ", ""), ",")
	}
	return s
}

// onlyFor takes the trouble out of the steering when it is meant for others.
func (s *steer) onlyFor(model string) {
	if len(s.only) == 0 || slices.Contains(s.only, model) {
		return
	}
	s.status, s.delay, s.chunkDelay, s.cut, s.fault = 0, 0, 0, -1, -1
}

func number(h http.Header, name string, otherwise int64) int64 {
	n, err := strconv.ParseInt(h.Get(name), 10, 64)
	if err != nil || n < 0 {
		return otherwise
	}
	return n
}

func duration(h http.Header, name string) time.Duration {
	d, err := time.ParseDuration(h.Get(name))
	if err != nil {
		return 0
	}
	return d
}
