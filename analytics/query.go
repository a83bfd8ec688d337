package analytics

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// Column is one column of a result.
type Column struct {
	Name string
	Type string // as ClickHouse spells it
}

// Result is the answer to a query. Values are Go's own: the integer and float
// types, *big.Int, string, bool, time.Time, nil, slices and maps of them.
type Result struct {
	Columns []Column
	Rows    [][]any
}

// Query answers one read-only statement of a user; a *RefusedError says why one
// is not run.
func (s *Store) Query(ctx context.Context, sql string) (*Result, error) {
	statement, err := readOnly(sql)
	if err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	// readonly 2 forbids writing and allows the settings that stand beside it; the
	// statement itself cannot hold any.
	limits := clickhouse.Settings{
		"readonly": 2, "max_execution_time": int64(s.cfg.QueryTime.Seconds()),
		"max_result_rows": s.cfg.QueryRows, "max_result_bytes": s.cfg.QueryBytes, "result_overflow_mode": "throw",
		"max_memory_usage": s.cfg.QueryMemory, "allow_introspection_functions": 0,
	}
	ctx, cancel := withoutDeadline(ctx, s.cfg.QueryTime+5*time.Second)
	defer cancel()
	rows, err := s.conn.Query(clickhouse.Context(ctx, clickhouse.WithSettings(limits)), statement)
	if err != nil {
		return nil, fmt.Errorf("run the query: %w", err)
	}
	defer rows.Close()
	result := &Result{}
	types := rows.ColumnTypes()
	for i, name := range rows.Columns() {
		result.Columns = append(result.Columns, Column{Name: name, Type: types[i].DatabaseTypeName()})
	}
	for rows.Next() {
		if int64(len(result.Rows)) >= s.cfg.QueryRows {
			return nil, fmt.Errorf("the result has more than %d rows; add a LIMIT", s.cfg.QueryRows)
		}
		cells := make([]any, len(types))
		for i, t := range types {
			cells[i] = reflect.New(t.ScanType()).Interface()
		}
		if err := rows.Scan(cells...); err != nil {
			return nil, fmt.Errorf("read the result: %w", err)
		}
		for i := range cells {
			cells[i] = plain(reflect.ValueOf(cells[i]).Elem())
		}
		result.Rows = append(result.Rows, cells)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the result: %w", err)
	}
	return result, nil
}

// withoutDeadline ends when ctx ends or after d, and shows no deadline: from one,
// clickhouse-go makes a max_execution_time of its own, longer than ours.
func withoutDeadline(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, cancel)
	timer := time.AfterFunc(d, cancel)
	return inner, func() { unhook(); timer.Stop(); cancel() }
}

// plain takes the pointers off a scanned value; a nil one is nil.
func plain(v reflect.Value) any {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		if b, ok := v.Interface().(*big.Int); ok {
			return b
		}
		v = v.Elem()
	}
	if b, ok := v.Interface().(big.Int); ok {
		return &b
	}
	return v.Interface()
}

// MarshalJSON writes an array with one object a row, its keys in the columns'
// order. Integers of 64 bits and more are strings, as ClickHouse writes them:
// many readers of JSON have 53 bits.
func (r *Result) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, row := range r.Rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('{')
		for j, cell := range row {
			if j > 0 {
				b.WriteByte(',')
			}
			name, err := json.Marshal(r.Columns[j].Name)
			if err != nil {
				return nil, err
			}
			value, err := json.Marshal(Exact(cell))
			if err != nil {
				return nil, fmt.Errorf("column %s: %w", r.Columns[j].Name, err)
			}
			b.Write(name)
			b.WriteByte(':')
			b.Write(value)
		}
		b.WriteByte('}')
	}
	b.WriteByte(']')
	return b.Bytes(), nil
}

// timeLayout is how ClickHouse shows DateTime64(6).
const timeLayout = "2006-01-02 15:04:05.000000"

// Exact is a value of the database's whose JSON loses nothing: 64-bit integers
// and wider are text, for readers whose numbers are floats.
func Exact(v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case int64:
		return strconv.FormatInt(v, 10)
	case uint64:
		return strconv.FormatUint(v, 10)
	case *big.Int:
		return v.String()
	case time.Time:
		return v.UTC().Format(timeLayout)
	case fmt.Stringer: // decimals, UUIDs, addresses
		return v.String()
	}
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Float32, reflect.Float64:
		if f := rv.Float(); f != f || f > 1.7e308 || f < -1.7e308 {
			return strconv.FormatFloat(f, 'g', -1, 64) // nan and inf are not JSON
		}
	case reflect.Slice:
		list := make([]any, rv.Len())
		for i := range list {
			list[i] = Exact(plain(rv.Index(i)))
		}
		return list
	case reflect.Map:
		object := make(map[string]any, rv.Len())
		for _, key := range rv.MapKeys() {
			object[Text(key.Interface())] = Exact(plain(rv.MapIndex(key)))
		}
		return object
	}
	return v
}

// Text is a value as a table shows it: text as it is, the rest as in JSON.
func Text(v any) string {
	switch e := Exact(v).(type) {
	case nil:
		return ""
	case string:
		return e
	default:
		b, err := json.Marshal(e)
		if err != nil {
			return fmt.Sprint(e)
		}
		return string(b)
	}
}
