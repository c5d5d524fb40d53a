package engine

import (
	"fmt"
	"io"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// library is libchdb's C interface (chdb.h), as far as the engine uses it.
// Handles are opaque pointers owned by the C++ side.
type library struct {
	connect     func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	closeConn   func(conn unsafe.Pointer)
	signals     func(enabled int32)
	query       func(conn, query unsafe.Pointer, queryLen uintptr, format unsafe.Pointer, formatLen uintptr, names, nameLens, values, valueLens unsafe.Pointer, n uintptr) unsafe.Pointer
	buffer      func(result unsafe.Pointer) unsafe.Pointer
	length      func(result unsafe.Pointer) uintptr
	resultError func(result unsafe.Pointer) string
	freeResult  func(result unsafe.Pointer)

	classify func(conn, query unsafe.Pointer, queryLen uintptr, target unsafe.Pointer, targetLen uintptr, out unsafe.Pointer) int32

	insert       func(conn, query unsafe.Pointer, queryLen uintptr, format unsafe.Pointer, formatLen uintptr) unsafe.Pointer
	insertAppend func(stream, data unsafe.Pointer, n uintptr) int32
	insertDone   func(stream unsafe.Pointer) unsafe.Pointer
	insertError  func(stream unsafe.Pointer) string
	freeInsert   func(stream unsafe.Pointer)
}

// load opens libchdb and takes the signals back: Go owns those of its process.
func load(path string) (l *library, err error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	l = new(library)
	for name, into := range map[string]any{
		"chdb_connect":                     &l.connect,
		"chdb_close_conn":                  &l.closeConn,
		"chdb_set_signal_handlers_enabled": &l.signals,
		"chdb_query_with_params_n":         &l.query,
		"chdb_result_buffer":               &l.buffer,
		"chdb_result_length":               &l.length,
		"chdb_result_error":                &l.resultError,
		"chdb_destroy_query_result":        &l.freeResult,
		"chdb_classify_query_n":            &l.classify,
		"chdb_stream_insert_n":             &l.insert,
		"chdb_stream_append":               &l.insertAppend,
		"chdb_stream_done":                 &l.insertDone,
		"chdb_stream_insert_error":         &l.insertError,
		"chdb_destroy_insert_stream":       &l.freeInsert,
	} {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			return nil, fmt.Errorf("%s is too old for Sluice: %w", path, err)
		}
		purego.RegisterFunc(into, symbol)
	}
	l.signals(0)
	return l, nil
}

// session is one connection of the engine: settings and current database of
// its own, one statement at a time. It is not safe for concurrent use.
type session struct {
	lib  *library
	conn *unsafe.Pointer // chdb_connection *
}

// open starts a session; the process's first one starts the engine with args.
func (l *library) open(args []string) (*session, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	argv := make([]unsafe.Pointer, len(args))
	for i, a := range args {
		b := append([]byte(a), 0)
		pin.Pin(&b[0])
		argv[i] = unsafe.Pointer(&b[0])
	}
	conn := l.connect(int32(len(argv)), unsafe.Pointer(&argv[0]))
	runtime.KeepAlive(argv)
	if conn == nil {
		return nil, fmt.Errorf("the engine did not start with %q; its reason is on the lines before this one", args[1:])
	}
	return &session{lib: l, conn: (*unsafe.Pointer)(conn)}, nil
}

func (s *session) close() { s.lib.closeConn(unsafe.Pointer(s.conn)) }

// param is a value bound to {name:Type}, in the engine's escaped text form.
type param struct{ name, value string }

// query runs one statement and hands its output to use, which must not keep
// the bytes: they belong to the engine.
func (s *session) query(statement, format string, params []param, use func([]byte) error) error {
	var pin runtime.Pinner
	defer pin.Unpin()
	names, nameLens := cStrings(&pin, params, func(p param) string { return p.name })
	values, valueLens := cStrings(&pin, params, func(p param) string { return p.value })
	q, qn := cString(&pin, statement)
	f, fn := cString(&pin, format)
	result := s.lib.query(*s.conn, q, qn, f, fn,
		unsafe.Pointer(unsafe.SliceData(names)), unsafe.Pointer(unsafe.SliceData(nameLens)),
		unsafe.Pointer(unsafe.SliceData(values)), unsafe.Pointer(unsafe.SliceData(valueLens)), uintptr(len(params)))
	runtime.KeepAlive([]any{names, nameLens, values, valueLens})
	if result == nil {
		return &Exception{Text: "the engine gave no answer"}
	}
	defer s.lib.freeResult(result)
	if text := s.lib.resultError(result); text != "" {
		return &Exception{Text: text}
	}
	if n := s.lib.length(result); n > 0 {
		return use(unsafe.Slice((*byte)(s.lib.buffer(result)), n))
	}
	return use(nil)
}

// analysis is chdb_query_analysis_v1: what the engine's own parser makes of a
// text, without running it.
type analysis struct {
	size       uint32
	Statements uint32 // 0 where the text does not parse
	Flags      uint32
	Class      uint32
}

// readOnly is the class of SELECT, SHOW, DESCRIBE, EXPLAIN, EXISTS and CHECK
// without INTO OUTFILE.
const readOnly = 0

// classify asks the parser what statement is.
func (s *session) classify(statement string) (analysis, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	a := &analysis{size: uint32(unsafe.Sizeof(analysis{}))}
	pin.Pin(a)
	q, qn := cString(&pin, statement)
	if s.lib.classify(*s.conn, q, qn, nil, 0, unsafe.Pointer(a)) != 0 {
		return analysis{}, &Exception{Text: "the engine cannot classify statements"}
	}
	return *a, nil
}

// insert streams body, in the named format, into an INSERT without a FORMAT
// clause. Nothing is committed where the body ends in an error.
func (s *session) insert(statement, format string, body io.Reader) error {
	var pin runtime.Pinner
	defer pin.Unpin()
	q, qn := cString(&pin, statement)
	f, fn := cString(&pin, format)
	stream := s.lib.insert(*s.conn, q, qn, f, fn)
	if stream == nil {
		return &Exception{Text: "the engine gave no answer"}
	}
	defer s.lib.freeInsert(stream)
	if text := s.lib.insertError(stream); text != "" {
		return &Exception{Text: text}
	}
	chunk := make([]byte, insertChunk)
	for {
		n, err := body.Read(chunk)
		if n > 0 && s.lib.insertAppend(stream, unsafe.Pointer(&chunk[0]), uintptr(n)) != 0 {
			return &Exception{Text: s.lib.insertError(stream)}
		}
		if err == io.EOF {
			break
		}
		if err != nil { // not the whole body: freeInsert drops what was sent
			return fmt.Errorf("read insert body: %w", err)
		}
	}
	result := s.lib.insertDone(stream)
	if result == nil {
		return &Exception{Text: "the engine gave no answer to an insert"}
	}
	defer s.lib.freeResult(result)
	if text := s.lib.resultError(result); text != "" {
		return &Exception{Text: text}
	}
	return nil
}

// insertChunk is how much of an insert is handed over at a time.
const insertChunk = 1 << 20

// cString pins the bytes of s for as long as pin holds. C sees no NUL: lengths
// are passed.
func cString(pin *runtime.Pinner, s string) (unsafe.Pointer, uintptr) {
	if s == "" {
		return unsafe.Pointer(&nothing), 0 // never nil, which the library refuses
	}
	data := unsafe.StringData(s)
	pin.Pin(data)
	return unsafe.Pointer(data), uintptr(len(s))
}

// nothing is where an empty string points.
var nothing byte

func cStrings(pin *runtime.Pinner, params []param, of func(param) string) ([]unsafe.Pointer, []uintptr) {
	pointers, lengths := make([]unsafe.Pointer, len(params)), make([]uintptr, len(params))
	for i, p := range params {
		pointers[i], lengths[i] = cString(pin, of(p))
	}
	return pointers, lengths
}
