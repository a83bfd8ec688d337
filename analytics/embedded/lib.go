//go:build linux

package embedded

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// library is libchdb.so's C interface, as far as we use it. Names and signatures
// are those of chdb.h; a connection is a pointer to a handle there, and queries
// take the handle.
type library struct {
	connect      func(argc int32, argv unsafe.Pointer) *uintptr
	closeConn    func(conn *uintptr)
	query        func(handle uintptr, sql unsafe.Pointer, n uintptr, format unsafe.Pointer, m uintptr) uintptr
	resultError  func(result uintptr) *byte
	resultBuffer func(result uintptr) *byte
	resultLength func(result uintptr) uintptr
	destroy      func(result uintptr)
	signals      func(enabled int32)

	// opening serialises chdb_connect and chdb_close_conn, which touch the
	// process-wide engine.
	opening sync.Mutex
}

// loadLibrary maps the library and binds its functions; a library without one of
// them is an error here and not a crash later.
func loadLibrary(path string) (*library, error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	l := &library{}
	for name, fn := range map[string]any{
		"chdb_connect":                     &l.connect,
		"chdb_close_conn":                  &l.closeConn,
		"chdb_query_n":                     &l.query,
		"chdb_result_error":                &l.resultError,
		"chdb_result_buffer":               &l.resultBuffer,
		"chdb_result_length":               &l.resultLength,
		"chdb_destroy_query_result":        &l.destroy,
		"chdb_set_signal_handlers_enabled": &l.signals,
	} {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			return nil, fmt.Errorf("load %s: not the engine this program knows: %w", path, err)
		}
		purego.RegisterFunc(fn, symbol)
	}
	// Its handlers sleep for minutes before a crash ends the process; without
	// them a crash is an exit that the supervisor sees at once.
	l.signals(0)
	return l, nil
}

// conn is one session: its own settings and current database. Sessions of one
// process run in parallel; one session runs one query at a time.
type conn struct {
	lib    *library
	handle *uintptr
}

var errNoConnection = errors.New("the engine refused its folder (its message is on stderr)")

// open starts a session, and with the first one the engine itself (0.1 s; later
// ones take 0.2 ms).
func (l *library) open(dir string) (*conn, error) {
	args := []string{"clickhouse", "--path=" + dir}
	raw := make([][]byte, len(args))
	argv := make([]*byte, len(args)+1)
	var pins runtime.Pinner
	defer pins.Unpin()
	for i, a := range args {
		raw[i] = append([]byte(a), 0)
		pins.Pin(&raw[i][0])
		argv[i] = &raw[i][0]
	}
	pins.Pin(&argv[0])
	l.opening.Lock()
	defer l.opening.Unlock()
	handle := l.connect(int32(len(args)), unsafe.Pointer(&argv[0]))
	if handle == nil || *handle == 0 {
		return nil, errNoConnection
	}
	return &conn{lib: l, handle: handle}, nil
}

// query runs one statement and copies its output, rendered in the format unless
// the statement names one itself.
func (c *conn) query(sql, format string) ([]byte, error) {
	if sql == "" {
		return nil, &exception{Code: 62, Text: "Code: 62. DB::Exception: Empty query. (SYNTAX_ERROR)"}
	}
	r := c.lib.query(*c.handle, unsafe.Pointer(unsafe.StringData(sql)), uintptr(len(sql)),
		unsafe.Pointer(unsafe.StringData(format)), uintptr(len(format)))
	runtime.KeepAlive(sql)
	runtime.KeepAlive(format)
	if r == 0 {
		return nil, errors.New("the engine gave no result")
	}
	defer c.lib.destroy(r)
	if msg := c.lib.resultError(r); msg != nil {
		return nil, parseException(cString(msg))
	}
	n := int(c.lib.resultLength(r))
	if n == 0 {
		return nil, nil
	}
	return append([]byte(nil), unsafe.Slice(c.lib.resultBuffer(r), n)...), nil
}

func (c *conn) close() {
	c.lib.opening.Lock()
	defer c.lib.opening.Unlock()
	c.lib.closeConn(c.handle)
}

// maxMessage bounds how far a C string is read: the engine's messages can quote
// a whole statement.
const maxMessage = 16 << 10

func cString(p *byte) string {
	n := 0
	for n < maxMessage && *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}
