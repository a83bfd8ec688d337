package analytics

import (
	"context"
	"embed"
	"fmt"
	"strings"
)

// schemaFiles are the tables (made once), what was added to them since, and the
// views (made anew at each start).
//
//go:embed schema/*.sql
var schemaFiles embed.FS

// migrations run in this order, each statement idempotent, so that a start that
// was cut short in the middle is simply started again.
var migrations = []string{"schema/001_tables.sql", "schema/002_tools.sql", "schema/views.sql"}

// Migrate makes the schema, or brings an older one to this program's.
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.check(); err != nil {
		return err
	}
	if err := s.exec(ctx, "CREATE DATABASE IF NOT EXISTS "+database); err != nil {
		return fmt.Errorf("make the database: %w", err)
	}
	for _, file := range migrations {
		text, err := schemaFiles.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read the schema: %w", err)
		}
		for _, statement := range statements(string(text)) {
			if err := s.exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %.60s…: %w", file, firstLine(statement), err)
			}
		}
	}
	return nil
}

// statements splits our own files, in which a statement ends with a semicolon at
// the end of a line and a comment has a line to itself.
func statements(text string) []string {
	var out []string
	var b strings.Builder
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "--") {
			continue
		}
		if before, ended := strings.CutSuffix(trimmed, ";"); ended {
			b.WriteString(before)
			out = append(out, b.String())
			b.Reset()
			continue
		}
		b.WriteString(line)
	}
	return out
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
