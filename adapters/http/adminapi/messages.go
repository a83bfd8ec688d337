package adminapi

import "time"

// ErrorResponse is every answer that is not a success.
type ErrorResponse struct {
	Error Error `json:"error"`
	// Diff stands beside an error that a yes would lift.
	Diff *Diff `json:"diff,omitempty"`
}

// Error says what, where and what to do.
type Error struct {
	Code     string    `json:"code"`
	Message  string    `json:"message"`
	Where    string    `json:"where,omitempty"`
	Problems []Problem `json:"problems,omitempty"` // of registry files
}

// The codes that a client acts on.
const (
	CodeConfirm = "confirmation_needed"
	CodeMoved   = "registry_moved"
	CodeInvalid = "registry_invalid"
)

// Problem is one fault of a registry file.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	What   string `json:"what"`
	Want   string `json:"want,omitempty"`
}

// By is who asks for a change and why. Who is believed only where nothing better
// is known, which is on the same machine without a token.
type By struct {
	Who string `json:"who,omitempty"`
	Why string `json:"why,omitempty"`
}

// File is one registry file.
type File struct {
	Name    string `json:"name"`
	Content string `json:"content"`
}

// ApplyRequest makes the registry what the files say.
type ApplyRequest struct {
	By
	Files   []File `json:"files"`
	DryRun  bool   `json:"dry_run,omitempty"`
	Prune   bool   `json:"prune,omitempty"`
	Confirm bool   `json:"confirm,omitempty"` // removals and resets were agreed to
	// IfVersion is the base of the difference that was agreed to; 0: any.
	IfVersion int64 `json:"if_version,omitempty"`
}

// ApplyResponse says what an apply changed, or would change.
type ApplyResponse struct {
	Applied bool `json:"applied"`
	Diff    Diff `json:"diff"`
}

// Diff is the difference between the registry and the files.
type Diff struct {
	Base      int64    `json:"base"`              // the registry's version it was made against
	Version   int64    `json:"version,omitempty"` // after it; 0: nothing was written
	Changes   []Change `json:"changes"`
	Unchanged int      `json:"unchanged"`
	Warnings  []string `json:"warnings,omitempty"`
}

// Change is what happens to one object.
type Change struct {
	Op           string        `json:"op"` // added, changed, removed
	Kind         string        `json:"kind"`
	Tenant       string        `json:"tenant,omitempty"`
	Name         string        `json:"name"`
	Fields       []FieldChange `json:"fields,omitempty"`
	Consequences []string      `json:"consequences,omitempty"`
	Asks         bool          `json:"asks,omitempty"` // needs a yes
}

// FieldChange is one field of a changed object.
type FieldChange struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

// Key is what is known of a key; never the secret.
type Key struct {
	ID         string    `json:"id"`
	Kind       string    `json:"kind"`              // app, gateway, admin
	App        string    `json:"app,omitempty"`     // tenant/app
	Gateway    string    `json:"gateway,omitempty"` // of a gateway's key
	Prefix     string    `json:"prefix"`
	State      string    `json:"state"` // active, expiring, expired, revoked
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"` // zero: never
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
	ReplacedBy string    `json:"replaced_by,omitempty"`
}

// KeysResponse lists all keys.
type KeysResponse struct {
	Keys []Key `json:"keys"`
}

// CreateKeyRequest asks for a key: of one app, one gateway, or an operator.
type CreateKeyRequest struct {
	By
	App     string   `json:"app,omitempty"` // tenant/app
	Gateway string   `json:"gateway,omitempty"`
	Admin   bool     `json:"admin,omitempty"`
	Expires Duration `json:"expires,omitzero"` // from now; zero: never
}

// RevokeKeyRequest ends a key now.
type RevokeKeyRequest struct{ By }

// RotateKeyRequest asks for a key's successor.
type RotateKeyRequest struct {
	By
	Overlap Duration `json:"overlap,omitzero"` // how long the old one stays valid
}

// KeyResponse is a key that was made or changed. Secret is told this once.
type KeyResponse struct {
	Key    Key    `json:"key"`
	Secret string `json:"secret,omitempty"`
}

// Budget is one meter of a budget, or a budget that has none yet.
type Budget struct {
	Budget   string            `json:"budget"`
	Tenant   string            `json:"tenant,omitempty"` // empty: of all tenants
	Per      map[string]string `json:"per"`              // attribute to value; a value of "" is "none"
	Unit     string            `json:"unit"`
	Limit    string            `json:"limit"`
	Spent    string            `json:"spent"`
	Held     string            `json:"held"`
	Left     string            `json:"left"`               // limit + adjusted − spent − held
	Adjusted string            `json:"adjusted,omitempty"` // by operators, in this window
	ResetsAt time.Time         `json:"resets_at,omitzero"` // zero: never
	Window   string            `json:"window"`             // of the meter: 2026-03, total, …
	Mode     string            `json:"mode"`               // enforce, warn, shadow
	Suspense string            `json:"suspense,omitempty"` // part of spent: charged by rule because a replica was lost
}

// BudgetsResponse lists meters by tenant, budget and per values. Truncated says
// that there are more than are listed: narrow the match.
type BudgetsResponse struct {
	Budgets   []Budget `json:"budgets"`
	Truncated bool     `json:"truncated,omitempty"`
}

// ModelsResponse lists the models of the registry by name.
type ModelsResponse struct {
	Models []Model `json:"models"`
}

// Model is one model and the deployments that serve it.
type Model struct {
	Name        string   `json:"name"`
	Dialect     string   `json:"dialect"`
	Deployments []string `json:"deployments"`
}

// AdjustRequest gives a meter more to spend, or less.
type AdjustRequest struct {
	By
	Budget string            `json:"budget"`
	Tenant string            `json:"tenant,omitempty"` // needed where several tenants have a budget of this name
	Per    map[string]string `json:"per,omitempty"`    // which meter of a per budget
	Add    string            `json:"add"`              // in the budget's unit; -50 takes 50 away
}

// AdjustResponse is the meter afterwards, as far as this replica has folded.
type AdjustResponse struct {
	Budget Budget `json:"budget"`
}

// ReleaseRequest frees what a replica held whose disk is lost.
type ReleaseRequest struct {
	By
	Epoch string `json:"epoch"` // 32 hexadecimal digits
}

// ReleaseResponse repeats what was released.
type ReleaseResponse struct {
	Epoch string `json:"epoch"`
}

// SQLRequest is one read-only question.
type SQLRequest struct {
	Query string `json:"query"`
}

// SQLLine is one line of the answer: first the columns, then rows, last the
// count or an error. An answer without its last line was cut short.
type SQLLine struct {
	Columns []Column `json:"columns,omitempty"`
	Row     []any    `json:"row,omitempty"`
	Rows    *int64   `json:"rows,omitempty"`
	Error   *Error   `json:"error,omitempty"`
}

// Column is one column of a result.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"` // as ClickHouse spells it
}

// VersionResponse is what the service is.
type VersionResponse struct {
	Version         string `json:"version"`
	Commit          string `json:"commit,omitempty"`
	Go              string `json:"go"`
	RegistryVersion int64  `json:"registry_version"`
}
