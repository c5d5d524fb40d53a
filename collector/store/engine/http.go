package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxSessions is how many statements run at a time; more wait. The driver
	// above opens fewer.
	maxSessions = 16
	// maxStatement bounds a statement's text. ClickHouse's own limit,
	// max_query_size, is far lower; this one protects the child's memory.
	maxStatement = 4 << 20
)

// handler is ClickHouse's HTTP interface, as far as clickhouse-go uses it: a
// statement as the body, or an INSERT as ?query= with its data as the body.
type handler struct {
	lib  *library
	args []string      // of a session
	free chan struct{} // holds one value for each session that may be opened
}

func newHandler(lib *library, args []string) http.Handler {
	h := &handler{lib: lib, args: args, free: make(chan struct{}, maxSessions)}
	for range maxSessions {
		h.free <- struct{}{}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", h.postStatement)
	mux.HandleFunc("GET /alive", h.getAlive)
	return mux
}

// getAlive answers 200 where the engine answers a query. It waits for no other
// statement.
func (h *handler) getAlive(w http.ResponseWriter, _ *http.Request) {
	s, err := h.lib.open(h.args)
	if err != nil {
		writeError(w, err)
		return
	}
	defer s.close()
	if err := s.query("SELECT 1", "TabSeparated", nil, writeTo(w)); err != nil {
		writeError(w, err)
	}
}

func (h *handler) postStatement(w http.ResponseWriter, r *http.Request) {
	req, err := readRequest(w, r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case <-h.free:
		defer func() { h.free <- struct{}{} }()
	case <-r.Context().Done():
		return
	}
	s, err := h.lib.open(h.args)
	if err != nil {
		writeError(w, err)
		return
	}
	defer s.close()
	if err := s.setUp(req); err != nil {
		writeError(w, err)
		return
	}
	if req.queryID != "" {
		w.Header().Set("X-ClickHouse-Query-Id", req.queryID)
	}
	if err := h.run(r.Context(), s, req, w); err != nil {
		writeError(w, err)
	}
}

// run executes the request in a session of its own.
func (h *handler) run(ctx context.Context, s *session, req *request, w http.ResponseWriter) error {
	switch {
	case req.insert != "":
		return s.insert(req.insert, req.format, req.body)
	case req.statement == helloStatement:
		return s.hello(w)
	}
	if err := s.allow(req); err != nil {
		return err
	}
	stop := h.killWhenGone(ctx, req.mark)
	defer stop()
	return s.query(req.statement, req.format, req.params, writeTo(w))
}

// killWhenGone ends the statement marked so when the one who asked has left.
func (h *handler) killWhenGone(ctx context.Context, mark string) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		s, err := h.lib.open(h.args)
		if err != nil {
			return // the statement still ends by its own limits
		}
		defer s.close()
		ignore := func([]byte) error { return nil }
		_ = s.query("KILL QUERY WHERE Settings['log_comment'] = {mark:String} ASYNC", "Null", []param{{"mark", mark}}, ignore)
	})
}

// request is one statement with everything that came with it.
type request struct {
	statement string // the text, where it is not an insert with data
	insert    string // the INSERT without its FORMAT clause
	format    string // of the answer, or of the insert's data
	body      io.Reader
	database  string
	queryID   string
	mark      string            // names the statement among the running ones
	settings  map[string]string // by name
	params    []param
}

var (
	insertWithData = regexp.MustCompile(`(?is)^(\s*INSERT\s.*?)\s+FORMAT\s+(\w+)\s*$`)
	settingName    = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// ownParams are URL parameters of the HTTP interface that are not settings.
var ownParams = map[string]bool{
	"query": true, "database": true, "default_format": true, "query_id": true, "quota_key": true,
	"client_protocol_version": true, "user": true, "password": true, "compress": true, "decompress": true,
	"wait_end_of_query": true, "buffer_size": true,
}

func readRequest(w http.ResponseWriter, r *http.Request) (*request, error) {
	if e := r.Header.Get("Content-Encoding"); e != "" {
		return nil, fmt.Errorf("Content-Encoding %s: the engine takes bodies as they are", e)
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("read the request's parameters: %w", err)
	}
	req := &request{
		format:   values.Get("default_format"),
		database: values.Get("database"),
		queryID:  values.Get("query_id"),
		body:     r.Body,
		settings: map[string]string{},
	}
	for name := range values {
		value := values.Get(name)
		bound, isParam := strings.CutPrefix(name, "param_")
		switch {
		case isParam:
			req.params = append(req.params, param{bound, value})
		case ownParams[name]:
		case settingName.MatchString(name):
			req.settings[name] = value
		default:
			return nil, fmt.Errorf("%q is not the name of a setting", name)
		}
	}
	if m := insertWithData.FindStringSubmatch(values.Get("query")); m != nil {
		req.insert, req.format = m[1], m[2]
		return req, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxStatement))
	if err != nil {
		return nil, fmt.Errorf("read the statement: %w", err)
	}
	req.statement = strings.TrimSpace(values.Get("query") + " " + string(body))
	if req.format == "" {
		req.format = "TabSeparated"
	}
	return req, nil
}

// setUp gives the session the request's database and settings.
func (s *session) setUp(req *request) error {
	if req.insert == "" {
		req.mark = rand.Text()
		req.settings["log_comment"] = req.mark
	}
	var b strings.Builder
	if req.database != "" && req.database != "default" {
		fmt.Fprintf(&b, "USE %s; ", quoteName(req.database))
	}
	for i, name := range slices.Sorted(maps.Keys(req.settings)) {
		lead := ", "
		if i == 0 {
			lead = "SET "
		}
		fmt.Fprintf(&b, "%s%s = %s", lead, name, quoteText(req.settings[name]))
	}
	if b.Len() == 0 {
		return nil
	}
	return s.query(b.String(), "Null", nil, func([]byte) error { return nil })
}

// allow refuses what ClickHouse's HTTP interface refuses and the library,
// made for local use, does not: several statements in one request, and
// anything but reading (INTO OUTFILE, say) under readonly.
func (s *session) allow(req *request) error {
	a, err := s.classify(req.statement)
	if err != nil {
		return err
	}
	readonly := req.settings["readonly"] != "" && req.settings["readonly"] != "0"
	switch {
	case a.Statements > 1:
		return &Exception{Text: "Code: 62. DB::Exception: Syntax error: several statements in one request are not allowed. (SYNTAX_ERROR)"}
	case a.Statements == 0 && strings.Contains(req.statement, ";"):
		// It may still begin with a statement that the library would run.
		return &Exception{Text: "Code: 62. DB::Exception: Syntax error: this is not one statement. (SYNTAX_ERROR)"}
	case a.Statements == 1 && readonly && a.Class != readOnly:
		return &Exception{Text: "Code: 164. DB::Exception: Cannot execute query in readonly mode: it does more than read. (READONLY)"}
	}
	return nil
}

// writeTo returns a function that answers with what it is given.
func writeTo(w http.ResponseWriter) func([]byte) error {
	return func(b []byte) error {
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		if _, err := w.Write(b); err != nil {
			return fmt.Errorf("send an answer: %w", err)
		}
		return nil
	}
}

// writeError answers with the engine's words, which the driver reads a typed
// exception from. It does nothing to an answer that has begun.
func writeError(w http.ResponseWriter, err error) {
	var e *Exception
	if errors.As(err, &e) && e.Code() != "" {
		w.Header().Set("X-ClickHouse-Exception-Code", e.Code())
	}
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

var textEscaper = strings.NewReplacer(`\`, `\\`, `'`, `\'`)

func quoteText(s string) string { return "'" + textEscaper.Replace(s) + "'" }

var nameEscaper = strings.NewReplacer(`\`, `\\`, "`", "\\`")

func quoteName(s string) string { return "`" + nameEscaper.Replace(s) + "`" }
