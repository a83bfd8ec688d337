package llm

// RefusalBody is what a refusal tells the caller.
type RefusalBody struct {
	Status    int
	Code      string // the reason's
	Message   string
	Param     string
	RequestID string // the decision's id
	Signalbox any    // marshalled under "signalbox"; nil: left out
}

// ErrorBody writes a refusal as the caller's dialect spells errors.
func ErrorBody(d Dialect, e RefusalBody) []byte { return nil }
