package http

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
	"github.com/signalbox-dev/signalbox/analytics"
)

const maxSQL = 256 << 10

// sqlWrite is how long one line may take to reach the client. It replaces the
// server's write timeout, which is meant for answers that are ready at once.
const sqlWrite = 30 * time.Second

// sql is POST /admin/v1/sql: lines of JSON, so that a long answer can be read as
// it comes, and one that was cut short is seen to be.
func (a *admin) sql(w http.ResponseWriter, r *http.Request, _ operator, body []byte) error {
	var req adminapi.SQLRequest
	if err := read(body, &req); err != nil {
		return err
	}
	if strings.TrimSpace(req.Query) == "" || len(req.Query) > maxSQL {
		return wrong("query", "want one SQL statement of at most 256 KiB")
	}
	if a.Analytics == nil {
		return &fault{status: http.StatusServiceUnavailable, code: "analytics_missing", err: errors.New("no ClickHouse is configured and its embedded engine is missing: run signalbox engine install, or set analytics.clickhouse")}
	}
	result, err := a.Analytics.Query(r.Context(), req.Query)
	if err != nil {
		// Whoever wrote the query must read what ClickHouse says of it.
		return &fault{status: http.StatusUnprocessableEntity, code: "query_failed", err: err}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	writeLines(w, result)
	return nil
}

func writeLines(w http.ResponseWriter, result *analytics.Result) {
	control := http.NewResponseController(w)
	out := func(line adminapi.SQLLine) bool {
		b, err := writeJSON(line)
		if err != nil {
			b, _ = writeJSON(adminapi.SQLLine{Error: &adminapi.Error{Code: "unspeakable", Message: "a value of this row has no JSON form"}})
		}
		// Where there is no connection to set a deadline on, there is none to hang.
		_ = control.SetWriteDeadline(time.Now().Add(sqlWrite))
		_, werr := w.Write(append(b, '\n'))
		return err == nil && werr == nil
	}
	columns := make([]adminapi.Column, len(result.Columns))
	for i, c := range result.Columns {
		columns[i] = adminapi.Column{Name: c.Name, Type: c.Type}
	}
	// The embedded engine does not say the columns of a result without rows.
	if len(columns) > 0 && !out(adminapi.SQLLine{Columns: columns}) {
		return
	}
	for _, row := range result.Rows {
		spelt := make([]any, len(row))
		for i, v := range row {
			spelt[i] = analytics.Exact(v)
		}
		if !out(adminapi.SQLLine{Row: spelt}) {
			return
		}
	}
	n := int64(len(result.Rows))
	out(adminapi.SQLLine{Rows: &n})
}
