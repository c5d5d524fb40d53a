package judge

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"time"
)

// Mode is how severely a request is judged.
type Mode uint8

const (
	// ByBody takes the mode that the body's validation_behavior names.
	ByBody Mode = iota
	// Relaxed is what Google does in production.
	Relaxed
	// Strict is ENFORCE_RECOMMENDATIONS.
	Strict
)

// Code is a validation code of Google's validation server.
type Code string

// The codes; InternalError is seen in the wild and not documented.
const (
	NameInvalid         Code = "NAME_INVALID"
	NameReserved        Code = "NAME_RESERVED"
	NameDuplicated      Code = "NAME_DUPLICATED"
	ValueRequired       Code = "VALUE_REQUIRED"
	ValueInvalid        Code = "VALUE_INVALID"
	ValueOutOfBounds    Code = "VALUE_OUT_OF_BOUNDS"
	ExceededMaxEntities Code = "EXCEEDED_MAX_ENTITIES"
	InternalError       Code = "INTERNAL_ERROR"
)

// Message is one complaint, in the JSON of Google's validation server.
type Message struct {
	FieldPath   string `json:"fieldPath,omitempty"`
	Description string `json:"description"`
	Code        Code   `json:"validationCode"`
	// Rule is the number in the package comment.
	Rule int `json:"-"`
}

// Event is what became of one event of the request.
type Event struct {
	Index int
	Name  string
	// Reason is the code that dropped the event; empty for accepted ones.
	Reason Code
}

// Verdict is what would become of a request.
type Verdict struct {
	// Mode is the one that was applied, never ByBody.
	Mode Mode
	// Refused is the code for which the whole request was dropped; empty:
	// it was taken.
	Refused Code
	// WrongMethod says that the request was answered 405 and not read.
	WrongMethod bool
	// Messages are what the validation server would answer.
	Messages []Message
	// Flags are what Google passes over in silence although something is
	// lost: a param ignored, a time clamped.
	Flags []Message
	// Accepted and Dropped share out the events that could be read.
	Accepted, Dropped []Event
	// Invisible marks a request that is taken and never shown in a report.
	Invisible bool
	// Violations name what must never leave Sluice (rule 22).
	Violations []string
}

// Clean reports whether nothing at all stands against the request.
func (v Verdict) Clean() bool {
	return !v.WrongMethod && v.Refused == "" && !v.Invisible &&
		len(v.Messages)+len(v.Flags)+len(v.Dropped)+len(v.Violations) == 0
}

// Request is what is judged.
type Request struct {
	Method string
	Query  url.Values
	Header http.Header
	Body   []byte
	// At is when the request arrives. Zero: times are not judged.
	At time.Time
	// OwnHosts are the sites' hosts. Where one is a literal address it is no
	// visitor's, and may be named.
	OwnHosts []string
}

// FromHTTP reads r, body included (one byte more than allowed at most).
func FromHTTP(r *http.Request, at time.Time, ownHosts ...string) (Request, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	if err != nil {
		return Request{}, fmt.Errorf("read request body: %w", err)
	}
	return Request{
		Method: r.Method, Query: r.URL.Query(), Header: r.Header,
		Body: body, At: at, OwnHosts: ownHosts,
	}, nil
}

// clientID is the form that gtag gives out; gaCookie the whole _ga cookie,
// which Google takes since February 2026.
var (
	clientID = regexp.MustCompile(`^[1-9]\d*\.[1-9]\d*$`)
	gaCookie = regexp.MustCompile(`^GA1\.\d+(-\d+)?\.\d+\.\d+$`)
)

// Judge says what would become of req.
func Judge(req Request, mode Mode) Verdict {
	m := memories.Get().(*memory)
	defer m.free()
	body := parse(req.Body, m)
	j := &judging{req: req, body: body, v: &Verdict{Mode: mode, Violations: violations(req, body)}}
	j.request()
	return *j.v
}

type judging struct {
	req  Request
	body parsed
	v    *Verdict
}

func (j *judging) strict() bool { return j.v.Mode == Strict }

// request walks the request from the outside in; the first thing that drops it
// whole ends the walk.
func (j *judging) request() {
	if j.req.Method != http.MethodPost {
		j.v.WrongMethod = true
		return
	}
	if !isJSON(j.req.Header.Get("Content-Type")) {
		j.flag(1, ValueInvalid, "", "Content-Type is not application/json.")
	}
	root, ok := j.read()
	if j.v.Mode == ByBody {
		j.v.Mode = Relaxed
		if root.text("validation_behavior") == "ENFORCE_RECOMMENDATIONS" {
			j.v.Mode = Strict
		}
	}
	j.credentials()
	if ok && j.v.Refused == "" {
		j.head(root)
	}
	events := root.list("events")
	if ok && j.v.Refused == "" {
		j.count(events)
	}
	for i := range events {
		j.event(i, &events[i].value)
	}
}

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == "application/json"
}

// read judges the form of the body (rules 4, 5, 20, 21).
func (j *judging) read() (value, bool) {
	if len(j.req.Body) >= MaxBody {
		j.refuse(4, ValueOutOfBounds, "", fmt.Sprintf("Request body has %d bytes or more; fewer than %d are allowed.", len(j.req.Body), MaxBody))
		return value{}, false
	}
	if err := j.body.err; err != nil {
		j.refuse(5, ValueInvalid, "", unparsed+err.Error()+".")
		return value{}, false
	}
	root := j.body.root
	for _, p := range j.body.twice {
		j.refuse(21, NameDuplicated, p, fmt.Sprintf("Key [%s] appears more than once.", p))
	}
	for _, p := range rootShape.check(&root) {
		if p.twice {
			j.refuse(21, NameDuplicated, p.path, p.text)
			continue
		}
		j.refuse(p.rule, ValueInvalid, "", unparsed+p.text)
	}
	return root, j.v.Refused == ""
}

// credentials is rule 3.
func (j *judging) credentials() {
	for _, name := range []string{"api_secret", "measurement_id"} {
		if j.req.Query.Get(name) == "" {
			j.refuse(3, ValueRequired, name, fmt.Sprintf("Unable to find non-empty parameter [%s] value in request.", name))
		}
	}
}

// head judges what stands beside the events (rules 6, 7, 12, 18, 19 and the
// user properties).
func (j *judging) head(root value) {
	id := root.text("client_id")
	switch {
	case id == "":
		j.refuse(6, ValueRequired, "client_id", "Measurement requires a client_id.")
	case clientID.MatchString(id) || gaCookie.MatchString(id):
	case j.strict():
		j.refuse(7, ValueInvalid, "client_id", fmt.Sprintf("client_id [%s] has invalid format. It should be in <number>.<number> format.", id))
	default:
		j.v.Invisible = true
		j.flag(7, ValueInvalid, "client_id", fmt.Sprintf("client_id [%s] has invalid format. It should be in <number>.<number> format.", id))
	}
	if n := length(root.text("user_id")); n > maxUserID {
		j.split(nil, 12, ValueOutOfBounds, "user_id", fmt.Sprintf("user_id has %d characters; %d are allowed.", n, maxUserID))
	}
	j.userProperties(root.field("user_properties").fields())
	if at, ok := root.micros("timestamp_micros"); ok {
		j.time(nil, newPath().field("timestamp_micros"), at)
	}
}

// count is rule 8.
func (j *judging) count(events []field) {
	switch n := len(events); {
	case n == 0:
		j.refuse(8, ValueRequired, "events", "Measurement requires at least one event.")
	case n > MaxEvents:
		j.refuse(8, ExceededMaxEntities, "events", fmt.Sprintf("Measurement has %d events; %d are allowed.", n, MaxEvents))
	}
}

// refuse drops the whole request.
func (j *judging) refuse(rule int, code Code, path, text string) {
	if j.v.Refused == "" {
		j.v.Refused = code
	}
	j.v.Messages = append(j.v.Messages, Message{FieldPath: path, Description: text, Code: code, Rule: rule})
}

// flag notes what is passed over in silence.
func (j *judging) flag(rule int, code Code, path, text string) {
	j.v.Flags = append(j.v.Flags, Message{FieldPath: path, Description: text, Code: code, Rule: rule})
}

// split is for what strict mode rejects and relaxed mode leaves out. e is the
// event concerned; nil means the request.
func (j *judging) split(e *Event, rule int, code Code, path, text string) {
	switch {
	case !j.strict():
		j.flag(rule, code, path, text)
	case e == nil:
		j.refuse(rule, code, path, text)
	default:
		j.drop(e, rule, code, path, text)
	}
}

// drop drops one event, in either mode.
func (j *judging) drop(e *Event, rule int, code Code, path, text string) {
	if e.Reason == "" {
		e.Reason = code
	}
	j.v.Messages = append(j.v.Messages, Message{FieldPath: path, Description: text, Code: code, Rule: rule})
}
