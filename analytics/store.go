package analytics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// database holds everything of ours.
const database = "signalbox"

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
	QueryBytes  int64         // of its result; default 64 MiB
	QueryMemory int64         // bytes; default 2 GiB
}

// Store is the database.
type Store struct {
	cfg  Config
	conn driver.Conn // in database signalbox
	bare driver.Conn // in database default, while ours may not exist yet
	log  *slog.Logger
}

// Open prepares the store; it connects when it is used.
func Open(_ context.Context, cfg Config, log *slog.Logger) (*Store, error) {
	cfg.QueryTime = cmp.Or(cfg.QueryTime, time.Minute)
	cfg.QueryRows = cmp.Or(cfg.QueryRows, 100_000)
	cfg.QueryBytes = cmp.Or(cfg.QueryBytes, 64<<20)
	cfg.QueryMemory = cmp.Or(cfg.QueryMemory, 2<<30)
	conn, err := connect(cfg.DSN, database)
	if err != nil {
		return nil, err
	}
	bare, err := connect(cfg.DSN, "default")
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &Store{cfg: cfg, conn: conn, bare: bare, log: log}, nil
}

// connect opens a pool of clickhouse-go's. An error never shows the DSN, which
// holds a password.
func connect(dsn, database string) (driver.Conn, error) {
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		return nil, errors.New("the address of ClickHouse cannot be read: want clickhouse://user:password@host:9000 or http(s)://user:password@host:8123")
	}
	options.Auth.Database = database
	options.DialTimeout = 5 * time.Second
	options.ReadTimeout = 5 * time.Minute
	options.MaxOpenConns = 8
	if options.Protocol == clickhouse.HTTP {
		// An insert that the server gave up half way must not look like one that
		// went well: the answer waits for the end.
		options.Settings = clickhouse.Settings{"wait_end_of_query": 1}
		options.Compression = &clickhouse.Compression{Method: clickhouse.CompressionNone}
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		return nil, fmt.Errorf("open ClickHouse: %w", err)
	}
	return conn, nil
}

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.check(); err != nil {
		return err
	}
	if err := s.bare.Ping(ctx); err != nil {
		return fmt.Errorf("ask ClickHouse: %w", err)
	}
	return nil
}

// Close releases the connections.
func (s *Store) Close() error { return errors.Join(s.conn.Close(), s.bare.Close()) }

func (s *Store) check() error {
	if s.cfg.Ready == nil {
		return nil
	}
	return s.cfg.Ready()
}

func (s *Store) exec(ctx context.Context, statement string) error {
	return s.bare.Exec(ctx, statement)
}

// insertAtMost bounds one insert. A server that takes longer may still take the
// rows later, which is why rows are made to be inserted twice.
const insertAtMost = 2 * time.Minute

// insert writes rows, pointers to structs of one type with ch tags, as one block
// into one table: all of them or none.
func (s *Store) insert(ctx context.Context, table string, rows []any) error {
	if len(rows) == 0 {
		return nil
	}
	if err := s.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, insertAtMost)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0, "max_partitions_per_insert_block": 1}))
	names := columnNames(reflect.TypeOf(rows[0]).Elem())
	batch, err := s.conn.PrepareBatch(ctx, fmt.Sprintf("INSERT INTO %s.%s (%s)", database, table, strings.Join(names, ", ")))
	if err != nil {
		return fmt.Errorf("prepare %d rows for %s: %w", len(rows), table, err)
	}
	for _, row := range rows {
		if err := batch.AppendStruct(row); err != nil {
			_ = batch.Abort()
			return fmt.Errorf("add a row to %s: %w", table, err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("insert %d rows into %s: %w", len(rows), table, err)
	}
	return nil
}

// columnNames are the columns that a row's struct fills, quoted.
func columnNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		switch tag := f.Tag.Get("ch"); {
		case f.Anonymous:
			names = append(names, columnNames(f.Type)...)
		case tag != "":
			names = append(names, "`"+tag+"`")
		}
	}
	return names
}

// selectRows runs one of our own queries and scans every row.
func (s *Store) selectRows(ctx context.Context, query string, scan func(driver.Rows) error, args ...any) error {
	if err := s.check(); err != nil {
		return err
	}
	rows, err := s.conn.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
