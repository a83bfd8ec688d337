package grpc

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/signalbox-dev/signalbox/adapters/door"
)

// statuses is what a gateway sees where there is no answer about the call.
var statuses = map[door.Kind]codes.Code{
	door.BadEnvelope:    codes.InvalidArgument,
	door.WrongType:      codes.InvalidArgument,
	door.TooLarge:       codes.ResourceExhausted, // as grpc itself says of long messages
	door.UnknownGateway: codes.Unauthenticated,
	door.ForgedToken:    codes.Unauthenticated,
	door.Foreign:        codes.PermissionDenied,
	door.UnknownCall:    codes.NotFound,
	door.Conflict:       codes.AlreadyExists,
	door.Unavailable:    codes.Unavailable,
	door.Withdrawn:      codes.Canceled,
	door.Internal:       codes.Internal,
}

// asError spells a problem. Where there is something to tell the caller all the
// same, it is the first of the details.
func asError(p *door.Problem) error {
	code, ok := statuses[p.Kind]
	if !ok {
		code = codes.Internal
	}
	st := status.New(code, p.Error())
	if p.Answer != nil {
		if detailed, err := st.WithDetails(answer(p.Answer)); err == nil {
			st = detailed
		}
	}
	return st.Err()
}
