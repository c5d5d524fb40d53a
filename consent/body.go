package consent

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
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
	if kind := r.Header.Get("Content-Type"); !isJSON(kind) {
		return nil, fmt.Errorf("type %q: %w", kind, ErrMediaType)
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, fmt.Errorf("encoding %q: %w", enc, ErrMediaType)
	}
	if r.ContentLength > limit {
		return nil, fmt.Errorf("%d bytes: %w", r.ContentLength, ErrTooLarge)
	}
	// Room for most bodies at once, and for no more than has arrived of others:
	// what a client announces costs it nothing.
	b := bytes.NewBuffer(make([]byte, 0, min(max(r.ContentLength, 0), 4<<10)+bytes.MinRead))
	if _, err := b.ReadFrom(io.LimitReader(r.Body, limit+1)); err != nil {
		return nil, fmt.Errorf("read body: %w: %w", ErrNotJSON, err)
	}
	if int64(b.Len()) > limit {
		return nil, fmt.Errorf("more than %d bytes: %w", limit, ErrTooLarge)
	}
	return b.Bytes(), nil
}

// isJSON reports whether a body of a media type may be JSON.
func isJSON(mediaType string) bool {
	if mediaType == "application/json" {
		return true
	}
	kind, _, err := mime.ParseMediaType(mediaType)
	return err == nil && (kind == "application/json" || kind == "text/plain")
}

// DecodeJSON decodes one JSON value and nothing behind it. Errors: ErrNotJSON,
// or *FieldError with every field of the wrong type: encoding/json reports the
// first alone, so each round leaves out the field of the one before.
func DecodeJSON(b []byte, into any) error {
	var bad FieldError
	for {
		err := json.Unmarshal(b, into)
		wrong := new(json.UnmarshalTypeError)
		if err == nil {
			return bad.OrNil()
		}
		if !errors.As(err, &wrong) {
			return fmt.Errorf("%w: %w", ErrNotJSON, err)
		}
		name, _, _ := strings.Cut(wrong.Field, ".")
		bad.Add(cmp.Or(name, "body"), "%s where %s is wanted", jsonWord(wrong.Value), jsonWord(wrong.Type.Kind().String()))
		if b = without(b, name); b == nil {
			return &bad
		}
	}
}

// without returns an object without one of its members; nil where b is no
// object or has no such member.
func without(b []byte, name string) []byte {
	var members map[string]json.RawMessage
	if json.Unmarshal(b, &members) != nil {
		return nil
	}
	n := len(members)
	maps.DeleteFunc(members, func(key string, _ json.RawMessage) bool {
		return strings.EqualFold(key, name) // as encoding/json finds the field
	})
	if len(members) == n {
		return nil
	}
	rest, err := json.Marshal(members)
	if err != nil {
		return nil
	}
	return rest
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
