package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
)

func newSQLCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "sql QUERY",
		Short: "Ask the analytics one read-only question in SQL",
		Long: `Runs against whichever ClickHouse is configured, the embedded one included, also
while serve runs. QUERY - reads the statement from standard input. With -o json the
answer is an array of rows, 64-bit integers as strings.`,
		Example: `  signalbox sql "SELECT team, sum(cost_nano_usd)/1e9 AS usd FROM costs GROUP BY team"
  signalbox sql - -o json < report.sql`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := args[0]
			if query == "-" {
				b, err := io.ReadAll(io.LimitReader(g.Stdin, 1<<20))
				if err != nil {
					return fmt.Errorf("read the query: %w", err)
				}
				query = string(b)
			}
			if strings.TrimSpace(query) == "" {
				return usagef("want a query; see %s --help", cmd.CommandPath())
			}
			return runSQL(cmd.Context(), g, query)
		},
	}
}

// runSQL prints rows as they come.
func runSQL(ctx context.Context, g *globals, query string) error {
	res, err := g.send(ctx, http.MethodPost, "/admin/v1/sql", adminapi.SQLRequest{Query: query}, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := refused(res); err != nil {
		return err
	}
	var out rowPrinter = &rowTable{w: tabwriter.NewWriter(g.Stdout, 0, 8, 2, ' ', 0)}
	if g.json() {
		out = &rowArray{w: bufio.NewWriter(g.Stdout)}
	}
	lines := json.NewDecoder(res.Body)
	lines.UseNumber()
	for {
		var line adminapi.SQLLine
		if err := lines.Decode(&line); err != nil {
			return errors.Join(out.end(), errors.New("the answer was cut short; the rows above are not all"))
		}
		switch {
		case line.Error != nil:
			return errors.Join(out.end(), errors.New(line.Error.Message))
		case line.Rows != nil:
			return out.end()
		case line.Columns != nil:
			err = out.columns(line.Columns)
		case line.Row != nil:
			err = out.row(line.Row)
		}
		if err != nil {
			return err
		}
	}
}

type rowPrinter interface {
	columns([]adminapi.Column) error
	row([]any) error
	end() error
}

// rowTable prints rows for people.
type rowTable struct{ w *tabwriter.Writer }

func (t *rowTable) columns(columns []adminapi.Column) error {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = oneLine(c.Name)
	}
	_, err := fmt.Fprintln(t.w, strings.Join(names, "\t"))
	return err
}

func (t *rowTable) row(values []any) error {
	cells := make([]string, len(values))
	for i, v := range values {
		cells[i] = oneLine(cell(v))
	}
	_, err := fmt.Fprintln(t.w, strings.Join(cells, "\t"))
	return err
}

func (t *rowTable) end() error { return t.w.Flush() }

func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	b, err := plainJSON(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// rowArray prints one JSON array of objects, with the columns in the query's
// order, as they come.
type rowArray struct {
	w     *bufio.Writer
	names [][]byte
	rows  int
}

func (a *rowArray) columns(columns []adminapi.Column) error {
	taken := map[string]bool{}
	for _, c := range columns {
		// SQL may name two columns alike; a JSON object may not.
		name := c.Name
		for n := 2; taken[name]; n++ {
			name = c.Name + "_" + strconv.Itoa(n)
		}
		taken[name] = true
		b, err := plainJSON(name)
		if err != nil {
			return err
		}
		a.names = append(a.names, b)
	}
	return nil
}

func (a *rowArray) row(values []any) error {
	if a.rows == 0 {
		_, _ = a.w.WriteString("[\n")
	} else {
		_, _ = a.w.WriteString(",\n")
	}
	a.rows++
	_ = a.w.WriteByte('{')
	for i, v := range values {
		if i >= len(a.names) {
			break
		}
		if i > 0 {
			_ = a.w.WriteByte(',')
		}
		b, err := plainJSON(v)
		if err != nil {
			return err
		}
		_, _ = a.w.Write(a.names[i])
		_ = a.w.WriteByte(':')
		_, _ = a.w.Write(b)
	}
	// A bufio.Writer keeps its first error and Flush reports it.
	return a.w.WriteByte('}')
}

func (a *rowArray) end() error {
	if a.rows == 0 {
		_, _ = a.w.WriteString("[")
	}
	_, _ = a.w.WriteString("]\n")
	return a.w.Flush()
}

// plainJSON does not escape what JSON allows.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
