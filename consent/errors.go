package consent

import (
	"errors"
	"fmt"
	"strings"
)

// What the doors of consent and collector answer with; server/errors.go maps
// each to a status and a public sentence.
var (
	ErrUnknownSite     = errors.New("no such site")
	ErrForbiddenOrigin = errors.New("origin does not belong to the site")
	ErrStaleNotice     = errors.New("the notice has changed since it was shown")
	ErrNotJSON         = errors.New("body is not JSON")
	ErrTooLarge        = errors.New("body is too large")
	ErrMediaType       = errors.New("content type is not accepted")
	ErrNotForm         = errors.New("content type is not that of a form")
	ErrUnavailable     = errors.New("cannot keep this now")
	ErrTooMany         = errors.New("too many requests")
	ErrUnauthorised    = errors.New("no valid token")
	ErrNotGranted      = errors.New("the visitor has not granted this")
)

// FieldError says what is wrong with a body that is JSON of the wrong shape.
type FieldError struct{ Fields []Field }

// Field is one complaint.
type Field struct {
	Name    string `json:"name"`    // path within the body: "events[2].url"
	Problem string `json:"problem"` // a sentence with the remedy
}

func (e *FieldError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Name + ": " + f.Problem
	}
	return "wrong shape: " + strings.Join(parts, "; ")
}

// Add appends a complaint about the named field.
func (e *FieldError) Add(name, format string, args ...any) {
	e.Fields = append(e.Fields, Field{Name: name, Problem: fmt.Sprintf(format, args...)})
}

// OrNil returns e as an error where it holds a complaint.
func (e *FieldError) OrNil() error {
	if len(e.Fields) == 0 {
		return nil
	}
	return e
}
