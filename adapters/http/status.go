package http

import (
	"net/http"

	"github.com/signalbox-dev/signalbox/adapters/door"
)

// statuses is what a gateway sees where there is no answer about the call. The
// statuses that callers see are inside the answers: door's status.go.
var statuses = map[door.Kind]struct {
	status int
	code   string
}{
	door.BadEnvelope:    {http.StatusBadRequest, "bad_envelope"},
	door.TooLarge:       {http.StatusRequestEntityTooLarge, "envelope_too_large"},
	door.WrongType:      {http.StatusUnsupportedMediaType, "wrong_content_type"},
	door.UnknownGateway: {http.StatusUnauthorized, "gateway_unknown"},
	door.ForgedToken:    {http.StatusUnauthorized, "report_token_forged"},
	door.Foreign:        {http.StatusForbidden, "foreign_origin"},
	door.UnknownCall:    {http.StatusNotFound, "call_unknown"},
	door.Conflict:       {http.StatusConflict, "call_conflict"},
	door.Unavailable:    {http.StatusServiceUnavailable, "unavailable"},
	// Nobody is there to read it; proxies' logs are.
	door.Withdrawn: {http.StatusServiceUnavailable, "withdrawn"},
	door.Internal:  {http.StatusInternalServerError, "internal"},
}
