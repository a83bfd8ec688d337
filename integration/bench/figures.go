package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/signalbox-dev/signalbox/adapters/door"
	doorgrpc "github.com/signalbox-dev/signalbox/adapters/grpc"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/journal"
	decisionv1 "github.com/signalbox-dev/signalbox/proto/gen/decision/v1"

	"log/slog"
)

// length of each measurement.
const length = 2 * time.Second

// body is a chat of about 2 KB.
var body = []byte(`{"model":"gpt-4o","max_tokens":64,"messages":[{"role":"system","content":"You answer briefly."},{"role":"user","content":"` + strings.Repeat("The parcel was marked as delivered. ", 52) + `"}]}`)

func (h *house) request() decision.Request {
	return decision.Request{Method: "POST", Path: "/v1/chat/completions", Body: body, BodyComplete: true,
		Headers: decision.Headers{"authorization": "Bearer " + h.secret, "x-signalbox-user": "ada"}}
}

// call decides and settles.
func (h *house) call(ctx context.Context) error {
	a, err := h.decisions.Decide(ctx, h.request())
	if err != nil {
		return err
	}
	if a.Refusal != nil {
		return fmt.Errorf("refused: %w", a.Refusal)
	}
	_, err = h.decisions.Settle(ctx, decision.Report{Token: a.Plan.ReportToken, Outcome: journal.OutcomeCompleted,
		Usage: &journal.Tokens{Input: 400, Output: 40}, SeenOutputTokens: -1})
	return err
}

// inProcess: one decision on facts seen before, against what any gateway hook
// pays anyway: the standard library's reading of the same body.
func inProcess(ctx context.Context, h *house) ([]line, error) {
	floor, err := measure(1, length/2, func(int, int) error {
		var v struct {
			Model    string
			Messages []map[string]any
		}
		return json.Unmarshal(body, &v)
	})
	if err != nil {
		return nil, err
	}
	if err := h.call(ctx); err != nil { // leases in hand, verdict remembered
		return nil, err
	}
	var tokens []string
	ours, err := measure(1, length/2, func(int, int) error {
		a, err := h.decisions.Decide(ctx, h.request())
		if err == nil && a.Plan != nil {
			tokens = append(tokens, a.Plan.ReportToken)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	settles, err := measure(1, length/2, func(_, n int) error {
		if n >= len(tokens) {
			return h.call(ctx)
		}
		_, err := h.decisions.Settle(ctx, decision.Report{Token: tokens[n], Outcome: journal.OutcomeCompleted, Usage: &journal.Tokens{Input: 400, Output: 40}, SeenOutputTokens: -1})
		return err
	})
	if err != nil {
		return nil, err
	}
	return []line{
		{"decide_in_process_p50", ours.quantile(0.5), floor.quantile(0.5), "us_vs_encoding_json"},
		{"settle_in_process_p50", settles.quantile(0.5), floor.quantile(0.5), "us_vs_encoding_json"},
	}, nil
}

// overGRPC: the same decision over gRPC, against an echo of the same sizes.
func overGRPC(ctx context.Context, h *house) ([]line, error) {
	server := grpc.NewServer(grpc.UnknownServiceHandler(echo))
	log := slog.New(slog.DiscardHandler)
	doorgrpc.New(doorgrpc.Config{Decider: h.decisions, Settler: h.decisions, Log: log, Guard: door.Guard{Gateways: nobody{}, TrustLocal: true}}).Register(server)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() { _ = server.Serve(l) }()
	defer server.Stop()
	conn, err := grpc.NewClient("dns:///localhost:"+fmt.Sprint(l.Addr().(*net.TCPAddr).Port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	question := &wrapperspb.BytesValue{Value: body}
	floor, err := measure(8, length, func(int, int) error {
		return conn.Invoke(ctx, "/bench.Echo/Echo", question, new(wrapperspb.BytesValue))
	})
	if err != nil {
		return nil, err
	}
	client := decisionv1.NewDecisionsClient(conn)
	request, whole := h.request(), true
	ours, err := measure(8, length, func(int, int) error {
		a, err := client.Decide(ctx, &decisionv1.DecideRequest{Request: &decisionv1.CallerRequest{Method: request.Method, Path: request.Path,
			Headers: request.Headers, Body: request.Body, BodyComplete: &whole}})
		if err == nil && a.GetAction() == "deny" {
			err = fmt.Errorf("denied: %v", a.GetReasons())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return []line{
		{"decide_grpc_rate", ours.rate(), floor.rate(), "calls/s_vs_echo"},
		{"decide_grpc_p50", ours.quantile(0.5), floor.quantile(0.5), "us_vs_echo"},
		{"decide_grpc_p99", ours.quantile(0.99), floor.quantile(0.99), "us_vs_echo"},
	}, nil
}

// echo answers any method with 300 bytes, about what an answer has.
func echo(_ any, stream grpc.ServerStream) error {
	in := new(wrapperspb.BytesValue)
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	return stream.SendMsg(&wrapperspb.BytesValue{Value: body[:300]})
}

type nobody struct{}

func (nobody) GatewayByToken(string) (string, bool) { return "", false }
func (nobody) KnownGateway(string) bool             { return false }

// logBytes: what one call adds to the ledger's and the decisions' topics on disk,
// against the 400 bytes that the design allows the ledger for five budgets.
func logBytes(ctx context.Context, h *house) ([]line, error) {
	const calls = 2000
	size := func(topic journal.Topic) (sum int64) {
		_ = filepath.Walk(filepath.Join(h.dir, "journal"), func(path string, info os.FileInfo, err error) error {
			if err == nil && !info.IsDir() && strings.Contains(path, string(topic)) {
				sum += info.Size()
			}
			return nil
		})
		return sum
	}
	ledgerBefore, decisionsBefore := size(journal.TopicLedger), size(journal.TopicDecisions)
	for range calls {
		if err := h.call(ctx); err != nil {
			return nil, err
		}
	}
	if err := h.spool.Flush(ctx); err != nil {
		return nil, err
	}
	return []line{
		{"ledger_bytes_a_call", float64(size(journal.TopicLedger)-ledgerBefore) / calls, 400, "B_vs_design"},
		{"decision_bytes_a_call", float64(size(journal.TopicDecisions)-decisionsBefore) / calls, float64(len(body)), "B_vs_body"},
	}, nil
}
