package grpc

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc/tap"

	"github.com/signalbox-dev/signalbox/adapters/door"
)

// questions are the methods whose one message is read whole before their handler is
// asked: a body of megabytes, for each of the calls that a connection may have at once.
var questions = [...]string{"/signalbox.decision.v1.Decisions/", "/envoy.service.auth.v3.Authorization/"}

// proven refuses by its headers a question of who proves nothing, so that whoever
// reaches the port cannot fill our memory. The handlers ask again; streams ask before
// they read, and say why in their own words.
func proven(guard door.Guard, log *slog.Logger) tap.ServerInHandle {
	seldom := &door.Seldom{Now: time.Now}
	return func(ctx context.Context, info *tap.Info) (context.Context, error) {
		for _, prefix := range questions {
			if !strings.HasPrefix(info.FullMethodName, prefix) {
				continue
			}
			if _, p := guard.Admit(caller(ctx)); p != nil {
				if seldom.May(p.Message) {
					log.WarnContext(ctx, "a gateway's question was turned away; there may be more", "door", "grpc", "why", p.Message)
				}
				return nil, asError(p)
			}
		}
		return ctx, nil
	}
}
