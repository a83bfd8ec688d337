package embedded

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
)

// exception is an error of the engine, in the text that a ClickHouse server
// would send.
type exception struct {
	Code int
	Text string
}

func (e *exception) Error() string { return e.Text }

var exceptionCode = regexp.MustCompile(`^Code:\s*(\d+)\.`)

// parseException takes the code out of the engine's text. Text without one gets
// 1002 (UNKNOWN_EXCEPTION), because clients tell a server's exception from a
// broken transport by the code.
func parseException(text string) *exception {
	if m := exceptionCode.FindStringSubmatch(text); m != nil {
		if code, err := strconv.Atoi(m[1]); err == nil && code > 0 {
			return &exception{Code: code, Text: text}
		}
	}
	return &exception{Code: 1002, Text: fmt.Sprintf("Code: 1002. DB::Exception: %s (UNKNOWN_EXCEPTION)", text)}
}

// statuses maps codes as ClickHouse's own HTTP handler does; the rest is 500.
var statuses = map[int]int{
	36:  http.StatusBadRequest,            // BAD_ARGUMENTS
	47:  http.StatusNotFound,              // UNKNOWN_IDENTIFIER
	60:  http.StatusNotFound,              // UNKNOWN_TABLE
	62:  http.StatusBadRequest,            // SYNTAX_ERROR
	81:  http.StatusNotFound,              // UNKNOWN_DATABASE
	115: http.StatusNotFound,              // UNKNOWN_SETTING
	159: http.StatusRequestTimeout,        // TIMEOUT_EXCEEDED
	241: http.StatusInternalServerError,   // MEMORY_LIMIT_EXCEEDED
	298: http.StatusRequestEntityTooLarge, // of ours: a body over the bound
	516: http.StatusUnauthorized,          // AUTHENTICATION_FAILED
}

// write answers a request with the exception.
func (e *exception) write(w http.ResponseWriter) {
	status, ok := statuses[e.Code]
	if !ok {
		status = http.StatusInternalServerError
	}
	w.Header().Set("X-ClickHouse-Exception-Code", strconv.Itoa(e.Code))
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, e.Text)
}
