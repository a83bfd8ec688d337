//go:build linux

package embedded

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// session is what a request needs of the engine; the library's conn, or a fake in
// tests of the protocol.
type session interface {
	query(sql, format string) ([]byte, error)
	close()
}

// handler speaks ClickHouse's HTTP interface, as far as clickhouse-go and curl
// use it. Every request gets a session of its own, as a server without
// session_id gives it: settings and the current database cannot leak from one
// request into the next, and a fresh one costs 0.7 ms.
type handler struct {
	open     func() (session, error)
	user     string
	token    string
	version  string
	slots    chan struct{} // bounds the sessions at once
	maxBody  int64         // of an insert
	maxQuery int64         // of a statement
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/ping" {
		_, _ = io.WriteString(w, "Ok.\n")
		return
	}
	if !h.authentic(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="signalbox"`)
		(&exception{516, "Code: 516. DB::Exception: Authentication failed: wrong user or password. (AUTHENTICATION_FAILED)"}).write(w)
		return
	}
	out, err := h.answer(r)
	if err != nil {
		var e *exception
		if !errors.As(err, &e) {
			e = parseException(err.Error())
		}
		e.write(w)
		return
	}
	w.Header().Set("X-ClickHouse-Server-Display-Name", "signalbox")
	w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	_, _ = w.Write(out)
}

// authentic compares in constant time; other users of this machine can reach the
// port.
func (h *handler) authentic(r *http.Request) bool {
	user, key, ok := r.BasicAuth()
	if !ok {
		user, key = r.Header.Get("X-ClickHouse-User"), r.Header.Get("X-ClickHouse-Key")
	}
	users := subtle.ConstantTimeCompare([]byte(user), []byte(h.user))
	keys := subtle.ConstantTimeCompare([]byte(key), []byte(h.token))
	return users&keys == 1
}

// answer runs the request's statement.
func (h *handler) answer(r *http.Request) ([]byte, error) {
	params := r.URL.Query()
	sql, body, err := h.statement(r, params)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(sql) == helloQuery {
		return hello(params.Get("client_protocol_version"), h.version), nil
	}
	if err := h.acquire(r.Context()); err != nil {
		return nil, err
	}
	defer func() { <-h.slots }()
	s, err := h.open()
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := prepare(s, params); err != nil {
		return nil, err
	}
	format := params.Get("default_format")
	if format == "" {
		format = "TabSeparated"
	}
	if body != nil {
		return h.insert(s, sql, body)
	}
	return s.query(sql, format)
}

func (h *handler) acquire(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for a session: %w", ctx.Err())
	}
}

// statement is the SQL, and the data of an insert apart from it. With a query
// parameter the body is data; without, the body is the statement.
func (h *handler) statement(r *http.Request, params url.Values) (string, io.Reader, error) {
	if sql := params.Get("query"); sql != "" {
		if insertFormat.MatchString(sql) {
			return sql, r.Body, nil
		}
		if r.Method == http.MethodPost {
			rest, err := io.ReadAll(io.LimitReader(r.Body, h.maxQuery))
			if err != nil {
				return "", nil, fmt.Errorf("read the statement: %w", err)
			}
			sql += string(rest)
		}
		return sql, nil, nil
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, h.maxQuery+1))
	if err != nil {
		return "", nil, fmt.Errorf("read the statement: %w", err)
	}
	if int64(len(raw)) > h.maxQuery {
		return "", nil, &exception{62, fmt.Sprintf("Code: 62. DB::Exception: the statement is over %d bytes. (SYNTAX_ERROR)", h.maxQuery)}
	}
	return string(raw), nil, nil
}

// notSettings are parameters of the protocol, not of the statement.
var notSettings = []string{"query", "database", "default_format", "client_protocol_version", "query_id", "quota_key",
	"user", "password", "compress", "decompress", "wait_end_of_query", "session_id", "session_timeout"}

var settingName = regexp.MustCompile(`^[a-z][a-zA-Z0-9_]*$`)

// prepare sets the session's database, settings and parameters. A database that
// is not there is an error, as it is on a server: the engine's own first database
// takes the names of tables for names of files.
func prepare(s session, params url.Values) error {
	if db := params.Get("database"); db != "" && db != "default" {
		if _, err := s.query("USE "+quoteName(db), "Null"); err != nil {
			return err
		}
	}
	var sets []string
	readonly := ""
	for name, values := range params {
		if slices.Contains(notSettings, name) || len(values) == 0 {
			continue
		}
		if !settingName.MatchString(name) {
			return &exception{115, "Code: 115. DB::Exception: Unknown setting. (UNKNOWN_SETTING)"}
		}
		assignment := name + " = " + quoteString(values[0])
		if name == "readonly" {
			readonly = assignment // last: it forbids to set what comes after it
			continue
		}
		sets = append(sets, assignment)
	}
	if readonly != "" {
		sets = append(sets, readonly)
	}
	if len(sets) == 0 {
		return nil
	}
	_, err := s.query("SET "+strings.Join(sets, ", "), "Null")
	return err
}

// insertFormat splits INSERT … FORMAT name, whose data follows in the body.
var insertFormat = regexp.MustCompile(`(?is)^\s*(INSERT\s+INTO\s.*\S)\s+FORMAT\s+([A-Za-z0-9]+)\s*;?\s*$`)

// insert runs an insert with its data beside it, in memory: the engine cuts data
// that follows the statement at its first ';'. One Native block stays one block,
// which the table takes whole or not at all.
func (h *handler) insert(s session, sql string, body io.Reader) ([]byte, error) {
	m := insertFormat.FindStringSubmatch(sql)
	fd, err := unix.MemfdCreate("signalbox-insert", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make room for the insert's data: %w", err)
	}
	data := os.NewFile(uintptr(fd), "insert")
	defer data.Close()
	n, err := io.Copy(data, io.LimitReader(body, h.maxBody+1))
	if err != nil {
		// A body cut short must not be inserted in part.
		return nil, fmt.Errorf("read the insert's data: %w", err)
	}
	if n > h.maxBody {
		return nil, &exception{298, fmt.Sprintf("Code: 298. DB::Exception: the insert's data is over %d bytes. (TOO_LARGE)", h.maxBody)}
	}
	if n == 0 {
		return nil, nil
	}
	if _, err := data.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("rewind the insert's data: %w", err)
	}
	return s.query(fmt.Sprintf("%s FROM INFILE '/proc/self/fd/%d' FORMAT %s", m[1], fd, m[2]), "Null")
}

// helloQuery is what clickhouse-go asks first over HTTP.
const helloQuery = "SELECT displayName(), version(), revision(), timezone()"

// hello answers it with one Native block in the client's revision, saying that
// ours is 0: the blocks that follow are then plain, which is what the library
// writes.
func hello(revision, version string) []byte {
	rev, _ := strconv.Atoi(revision)
	var b []byte
	if rev > 0 {
		// Block info: field 1 is_overflows = 0, field 2 bucket_num = -1, end.
		b = append(b, 1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0)
	}
	b = binary.AppendUvarint(b, 4) // columns
	b = binary.AppendUvarint(b, 1) // rows
	column := func(name, typ string, value []byte) {
		b = appendString(b, name)
		b = appendString(b, typ)
		if rev >= customSerialization {
			b = append(b, 0)
		}
		b = append(b, value...)
	}
	column("displayName()", "String", appendString(nil, "signalbox"))
	column("version()", "String", appendString(nil, version))
	column("revision()", "UInt32", []byte{0, 0, 0, 0})
	column("timezone()", "String", appendString(nil, "UTC"))
	return b
}

// customSerialization is the protocol revision from which each column of a block
// says whether its serialization is custom (ClickHouse's ProtocolDefines.h).
const customSerialization = 54454

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func quoteName(s string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(s) + "`"
}

func quoteString(s string) string {
	return "'" + strings.NewReplacer("\\", "\\\\", "'", "\\'").Replace(s) + "'"
}
