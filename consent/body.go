package consent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// ReadJSON reads one JSON value of at most limit bytes from a request into
// into. Accepted types are application/json and, for navigator.sendBeacon,
// text/plain that holds JSON; any Content-Encoding is refused, so that a body
// is never larger than its bytes. Errors: ErrMediaType, ErrTooLarge,
// ErrNotJSON, *FieldError.
func ReadJSON(r *http.Request, limit int64, into any) error {
	b, err := ReadBody(r, limit)
	if err != nil {
		return err
	}
	return DecodeJSON(b, into)
}

// ReadBody reads a JSON body without decoding it.
func ReadBody(r *http.Request, limit int64) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || (kind != "application/json" && kind != "text/plain") {
		return nil, fmt.Errorf("type %q: %w", r.Header.Get("Content-Type"), ErrMediaType)
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, fmt.Errorf("encoding %q: %w", enc, ErrMediaType)
	}
	if r.ContentLength > limit {
		return nil, fmt.Errorf("%d bytes: %w", r.ContentLength, ErrTooLarge)
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read body: %w: %w", ErrNotJSON, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("more than %d bytes: %w", limit, ErrTooLarge)
	}
	return b, nil
}

// DecodeJSON decodes one JSON value and nothing behind it.
func DecodeJSON(b []byte, into any) error {
	err := json.Unmarshal(b, into)
	if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) {
		bad := &FieldError{}
		name := wrong.Field
		if name == "" {
			name = "body"
		}
		bad.Add(name, "is %s, want %s", jsonWord(wrong.Value), jsonWord(wrong.Type.Kind().String()))
		return bad
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotJSON, err)
	}
	return nil
}

// jsonWord calls a value or a kind of Go type what JSON calls it.
func jsonWord(kind string) string {
	switch kind {
	case "array", "slice":
		return "a list"
	case "object", "struct", "map":
		return "an object"
	case "bool":
		return "a boolean"
	case "string":
		return "a string"
	}
	return "a number"
}
