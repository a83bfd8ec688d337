// Package adminapi is the admin API's messages: what /admin/v1 reads and writes,
// and what the command line sends and prints. It holds shapes and spellings and
// nothing that acts.
//
// Money and other amounts are exact decimal strings; times are RFC 3339 in UTC;
// durations are whole numbers of s, m, h or d. Unknown fields are refused.
//
//	POST /admin/v1/apply              ApplyRequest     ApplyResponse; 409 with it: confirm; 422 Error with problems
//	GET  /admin/v1/keys                                KeysResponse
//	POST /admin/v1/keys               CreateKeyRequest KeyResponse
//	POST /admin/v1/keys/{id}/revoke   RevokeKeyRequest KeyResponse
//	POST /admin/v1/keys/{id}/rotate   RotateKeyRequest KeyResponse
//	GET  /admin/v1/budgets?match=a=b                   BudgetsResponse
//	POST /admin/v1/budgets/adjust     AdjustRequest    AdjustResponse
//	POST /admin/v1/budgets/release    ReleaseRequest   ReleaseResponse
//	POST /admin/v1/sql                SQLRequest       lines of SQLLine
//	GET  /admin/v1/envoy                               EnvoyResponse; 404: none is programmed from here
//	GET  /admin/v1/version                             VersionResponse
package adminapi
