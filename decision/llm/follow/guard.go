package follow

// Part is which kind of text a guard is to read.
type Part uint8

const (
	Words     Part = iota // what the caller shows: text, a refusal, a transcript
	Thoughts              // reasoning, and summaries of it
	Arguments             // what a tool is called with: mostly JSON, as the model spells it
)

// Holdback is the most bytes of a text that a guard may keep back until more of it
// has come. It is above any name, number or secret that is worth finding, and below
// what a reader notices.
const Holdback = 512

// Guard reads one text of an answer as it comes: one choice's, one content block's,
// one tool call's. What it shows goes to the caller in place of what it took.
//
// What it shows in all must depend on the text alone and not on where it was cut:
// some protocols say a text again when it is whole, and then another guard reads it
// at once.
type Guard interface {
	// Text takes the next piece and gives what may be shown of all it has taken. What
	// it keeps back is its own, and at most Holdback bytes.
	Text(piece string) (show string, stop *Stop)
	// End gives what is left when the text has ended. Nothing comes after it.
	End() (show string, stop *Stop)
}

// Stop ends the answer where it stands: what the guard shows beside it is the last
// that the caller gets of any text. The answer ends then as its dialect ends one that
// was filtered, so that SDKs say so and do not take it for whole.
type Stop struct {
	Code    string // a decision's, such as guard_pii
	Message string // for the caller
}

// Stopped reports that a guard ended the answer, or that guards were asked for and
// nobody can read it. Nothing more is read then: settle what was seen, Release, and
// go away from the provider. Of an answer that cannot be read at all it is so from
// the beginning, as long as the caller can still be given an error in its place.
func (a *Answer) Stopped() bool { return a.stop != nil }

// StoppedBy says why, nil if nothing was stopped.
func (a *Answer) StoppedBy() *Stop { return a.stop }
