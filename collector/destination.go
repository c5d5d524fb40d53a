package collector

import (
	"io"
	"log/slog"
	"net/http"

	"fmt"
)

// Secret is what a destination is reached by: an API secret, a token, the URL
// that holds one. It prints as [redacted] in every form.
type Secret string

// Format keeps the secret out of anything that fmt prints.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue keeps the secret out of the log.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps the secret out of JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// AdConsent is what may be said of a visitor's consent to advertising at the
// moment of a request. Its zero value is no.
type AdConsent struct{ Storage, UserData, Personalization bool }

// Parcel is one request to a destination: a POST of Body with Header, to which
// nothing is added but Content-Length and User-Agent.
type Parcel struct {
	// Path and Query replace those of the destination's URL where Path is set.
	Path, Query string
	Header      http.Header
	Body        []byte
	// Log is what is kept of the request as proof, and what its hash is of: what
	// it says, without secrets. nil: the body, which has none.
	Log []byte
	// Unfit are events that the destination would not keep, or that must not
	// leave. Where there are any, nothing is sent; the rest is packed anew.
	Unfit []Unfit
	// Changed counts what the mapping had to change to stay within the
	// destination's limits and Sluice's promise, by a word or a rule's number.
	Changed map[string]int
}

// Logged is what is kept of the request as proof.
func (p *Parcel) Logged() []byte {
	if p.Log != nil {
		return p.Log
	}
	return p.Body
}

// Unfit is an event that is not sent, and the rule that it breaks.
type Unfit struct {
	Event *Event
	Rule  string
}
