// Package authz answers Envoy's ext_authz filter: it asks the decision about each call
// before the call goes out, over gRPC (Check) or HTTP (Handler).
//
// The filter sees the request alone and changes headers, not bodies. With somebody's
// own routes (envoy.ProfileHeader) the body therefore goes out as it came, and the
// decision is told so; with the routes that xds makes (envoy.ProfileOrder) the edits go
// along as metadata and are applied on the way to each provider. What a call has used
// is the access log's to tell: adapters/envoy/accesslog.
//
// It refuses to answer anything but the truth where there is none: a caller whose call
// cannot be decided is told 503 in their own dialect, and only a gateway that is not
// let in gets an error of gRPC's. It keeps to fields that Envoy 1.30 knows.
//
// Open check.go first, then question.go for the way in and verdict.go for the way out.
package authz
