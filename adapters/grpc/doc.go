// Package grpc is the gRPC door: signalbox.decision.v1.Decisions, which is
// /v1/decide and /v1/report in protobuf, with health and reflection beside it.
//
// It translates and nothing else: what a question means, what an answer says
// and who may ask stands in adapters/door, the same as for HTTP.
//
// Open server.go first, then request.go for the way in, answer.go for the way
// out and status.go for what is said when there is no answer.
package grpc
