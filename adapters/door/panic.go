package door

import (
	"fmt"
	"runtime"
	"strings"
)

// PanicSite names the functions that led to a panic, innermost first, for a log
// that must hold no values. It is called from the deferred function that
// recovered.
func PanicSite() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	var at []string
	for range 12 {
		frame, more := frames.Next()
		if frame.Function != "" && !strings.HasPrefix(frame.Function, "runtime.") {
			at = append(at, fmt.Sprintf("%s:%d", frame.Function, frame.Line))
		}
		if !more {
			break
		}
	}
	return strings.Join(at, " < ")
}
