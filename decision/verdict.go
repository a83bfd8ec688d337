package decision

// Verdict is a policy's result, read once into a struct. The zero Verdict denies.
type Verdict struct {
	Allow bool
	// Reasons of a denial; the first sets the status. Codes outside the closed
	// set become policy_denied with the code in the message.
	Reasons     []Reason
	Deployments []string // allowed, in order; every other one is refused
	Model       string   // substituted for the one asked; "" keeps it
	MaxOutput   int64    // clamp; 0: none
	Attempts    int64    // tries, each of which may be billed, that the hold pays for; 0: one
	AllowClamp  bool     // whether a call that fits only in part may be clamped
	Redact      []string // kinds of finding to remove
	Capture     string   // none, hash, redacted, full
	Tags        map[string]string
	Revision    string // of the policy that said it
	Raw         []byte // the result as JSON, for the journal
}
