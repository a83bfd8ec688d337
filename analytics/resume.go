package analytics

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// resume is, by partition, the first offset of which nothing is known: behind the
// table's newest row, or further where entries made no rows.
func (s *Store) resume(ctx context.Context, table string) (map[int32]int64, error) {
	next := map[int32]int64{}
	scan := func(rows driver.Rows) error {
		var partition int32
		var offset int64
		if err := rows.Scan(&partition, &offset); err != nil {
			return err
		}
		next[partition] = max(next[partition], offset)
		return nil
	}
	err := s.selectRows(ctx, fmt.Sprintf(`SELECT partition, max(next) FROM (
		SELECT partition, offset + 1 AS next FROM %s.%s
		UNION ALL SELECT partition, next FROM %s.positions WHERE table = '%s'
	) GROUP BY partition`, database, table, database, table), scan)
	if err != nil {
		return nil, fmt.Errorf("read the place of %s: %w", table, err)
	}
	return next, nil
}

// origins are the highest sequences in a table's rows.
func (s *Store) origins(ctx context.Context, table string) (origins, error) {
	seen := origins{}
	scan := func(rows driver.Rows) error {
		var partition int32
		var epoch string
		var seq uint64
		if err := rows.Scan(&partition, &epoch, &seq); err != nil {
			return err
		}
		if seen[partition] == nil {
			seen[partition] = map[string]uint64{}
		}
		seen[partition][epoch] = seq
		return nil
	}
	err := s.selectRows(ctx, fmt.Sprintf(`SELECT partition, origin_epoch, max(origin_seq) FROM %s.%s
		WHERE origin_seq > 0 GROUP BY partition, origin_epoch`, database, table), scan)
	if err != nil {
		return nil, fmt.Errorf("read the origins of %s: %w", table, err)
	}
	return seen, nil
}

// chains are the hashes of each partition's last decision.
func (s *Store) chains(ctx context.Context) (map[int32]chain, error) {
	last := map[int32]chain{}
	scan := func(rows driver.Rows) error {
		var partition int32
		var hash string
		if err := rows.Scan(&partition, &hash); err != nil {
			return err
		}
		c, err := parseChain(hash)
		last[partition] = c
		return err
	}
	err := s.selectRows(ctx, fmt.Sprintf(`SELECT partition, chain_hash FROM %[1]s.decisions_log
		WHERE (partition, offset) IN (SELECT partition, max(offset) FROM %[1]s.decisions_log GROUP BY partition)`, database), scan)
	if err != nil {
		return nil, fmt.Errorf("read the ends of the chains: %w", err)
	}
	return last, nil
}

// forget takes the names that are forgotten, or were replaced, off the disk, and
// makes the lookup anew without them. (The files of the merged parts go when
// ClickHouse drops them, eight minutes later by its own default.)
func (s *Store) forget(ctx context.Context) error {
	if err := s.check(); err != nil {
		return err
	}
	for _, statement := range []string{
		"OPTIMIZE TABLE signalbox.names_log FINAL",
		"DROP TABLE IF EXISTS signalbox.names_next",
		`CREATE TABLE signalbox.names_next (tenant String, pseudonym String, name String)
			ENGINE = Join(ANY, LEFT, tenant, pseudonym) SETTINGS join_any_take_last_row = 1`,
		"INSERT INTO signalbox.names_next SELECT tenant, pseudonym, name FROM signalbox.names",
		"EXCHANGE TABLES signalbox.names_next AND signalbox.names_lookup",
		"DROP TABLE signalbox.names_next",
	} {
		if err := s.exec(ctx, statement); err != nil {
			return fmt.Errorf("%.40s…: %w", statement, err)
		}
	}
	return nil
}
