package analytics

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Config says where the database is and how much one question may cost.
type Config struct {
	// DSN is clickhouse://user:password@host:9000/… or http(s)://user:password@host:8123/….
	// The database is always signalbox, whatever the DSN says.
	DSN string
	// Ready, if set, is asked before each use and says why the database cannot be
	// reached (the embedded engine: not installed, starting). nil means go on.
	Ready func() error

	QueryTime   time.Duration // of one user's query; default 60 s
	QueryRows   int64         // of its result; default 100,000
	QueryMemory int64         // bytes; default 2 GiB
}

// Store is the database.
type Store struct{}

// Column is one column of a result.
type Column struct {
	Name string
	Type string // as ClickHouse spells it
}

// Result is the answer to a query. Values are Go's own: int64, uint64, *big.Int,
// float64, string, bool, time.Time, nil, []any and map[string]any.
type Result struct {
	Columns []Column
	Rows    [][]any
}

var errTODO = errors.New("analytics: not built yet")

// Open prepares the store; it does not connect yet.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Store, error) { return nil, errTODO }

// Migrate makes the schema, or brings an older one to this program's.
func (s *Store) Migrate(ctx context.Context) error { return errTODO }

// Query answers one read-only statement of a user.
func (s *Store) Query(ctx context.Context, sql string) (*Result, error) { return nil, errTODO }

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return errTODO }

// Close releases the connections.
func (s *Store) Close() error { return errTODO }
