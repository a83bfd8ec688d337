// Package door holds what every door does the same way: it turns a gateway's
// question into a decision.Request, an answer into what gateways read and
// callers are told, and an error into one closed set of problems. It also says
// which gateway is asking.
//
// A door (adapters/http, adapters/grpc, and the gateways' own dialects beside
// them) parses its own bytes and writes its own bytes; if two of them would have
// to agree on a sentence, a header or a status, it stands here instead.
//
// It refuses to decide anything, to read a body, to log, and to know any wire
// format: the JSON names on its structs are the contract's names of the fields.
//
// Open question.go for the way in, answer.go for the way out, status.go for the
// one table of statuses.
package door
