package grpc_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/signalbox-dev/signalbox/adapters/adaptertest"
	decisionv1 "github.com/signalbox-dev/signalbox/proto/gen/decision/v1"
)

// Who proves nothing is answered before their question is read: its length says so, for
// one that is read and too long is answered otherwise.
func TestNoQuestionOfAStrangersIsRead(t *testing.T) {
	var log strings.Builder
	decider := &adaptertest.Decider{Answer: adaptertest.Plan()}
	conn := serve(t, decider, slog.New(slog.NewTextHandler(&log, nil)), grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(64<<20)))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-signalbox-gateway-token", "sbg_nobody_made_this")
	for range 3 {
		_, err := decisionv1.NewDecisionsClient(conn).Decide(ctx, question(strings.Repeat("x", 32<<20)))
		if status.Code(err) != codes.Unauthenticated {
			t.Errorf("a stranger's question: %v", err)
		}
	}
	if len(decider.Seen()) != 0 {
		t.Error("it was decided")
	}
	if n := strings.Count(log.String(), "turned away"); n != 1 || strings.Contains(log.String(), "sbg_") {
		t.Errorf("said %d times: %s", n, &log)
	}
	proven := metadata.AppendToOutgoingContext(context.Background(), "x-signalbox-gateway-token", adaptertest.Token)
	if _, err := decisionv1.NewDecisionsClient(conn).Decide(proven, question("{}")); err != nil {
		t.Errorf("a gateway's: %v", err)
	}
}
