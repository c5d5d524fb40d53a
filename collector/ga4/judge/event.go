package judge

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
	"unicode"
)

var currencyForm = regexp.MustCompile(`^[A-Z]{3}$`)

// event judges one event (rules 9 to 19) and puts it with the accepted or the
// dropped ones.
func (j *judging) event(i int, v *value) {
	e := &Event{Index: i, Name: v.text("name"), Reason: j.v.Refused}
	if j.v.Refused == "" {
		j.name(e)
		here := newPath().field("events").at(i)
		if at, ok := v.micros("timestamp_micros"); ok {
			j.time(e, here.field("timestamp_micros"), at)
		}
		j.params(e, here.field("params"), v.field("params"))
	}
	if e.Reason != "" {
		j.v.Dropped = append(j.v.Dropped, *e)
		return
	}
	j.v.Accepted = append(j.v.Accepted, *e)
}

// name is rule 9.
func (j *judging) name(e *Event) {
	head := fmt.Sprintf("Event at index: [%d] has ", e.Index)
	switch code := EventName(e.Name); {
	case code == "":
	case e.Name == "":
		j.drop(e, 9, ValueRequired, "events", head+"no name.")
	case code == NameReserved:
		j.drop(e, 9, code, "events", fmt.Sprintf("%sname [%s] which is reserved.", head, e.Name))
	default:
		j.drop(e, 9, code, "events", fmt.Sprintf("%sinvalid name [%s]. %s", head, e.Name, nameProblem(e.Name, MaxName)))
	}
}

// nameProblem puts NAME_INVALID into Google's words.
func nameProblem(name string, most int) string {
	switch {
	case !unicode.IsLetter([]rune(name + " ")[0]):
		return "Names must start with an alphabetic character."
	case !isName(name):
		return "Only alphanumeric characters and underscores are allowed."
	}
	return fmt.Sprintf("Names must be %d characters or fewer.", most)
}

// time is rules 18 and 19; e is nil for the request's own time.
func (j *judging) time(e *Event, where path, at time.Time) {
	now := j.req.At
	switch {
	case now.IsZero():
	case now.Sub(at) > MaxAge:
		j.split(e, 18, ValueInvalid, where.String(), fmt.Sprintf("Measurement timestamp_micros has timestamp too far in the past. "+
			"Measurement protocol only supports timestamps [72h] into the past. The current time in UNIX microseconds is [%d].", now.UnixMicro()))
	case at.Sub(now) > maxAhead:
		j.flag(19, ValueOutOfBounds, where.String(), "Timestamp lies more than 10 minutes in the future.")
	}
}

// params judges an event's params, items included.
func (j *judging) params(e *Event, where path, params *value) {
	if n := len(params.fields()); n > MaxParams {
		j.split(e, 10, ExceededMaxEntities, where.String(), fmt.Sprintf("Event at index: [%d] has %d params; %d are allowed.", e.Index, n, MaxParams))
	}
	for _, p := range params.fields() {
		at := where.field(p.name)
		j.paramName(e, at, p.name)
		switch {
		case p.name == "items" && p.kind == list:
			j.items(e, at, p.items())
		case p.kind != text && p.kind != number:
			j.split(e, 13, ValueInvalid, at.String(), fmt.Sprintf("Param [%s] has unsupported value [%s].", p.name, p.unsupported()))
		default:
			j.paramValue(e, at, p)
		}
	}
	j.money(e, where, params)
	for _, name := range required[e.Name] {
		if f := params.field(name); f.kind == absent || f.kind == text && f.raw == "" || f.kind == list && len(f.parts) == 0 {
			j.split(e, 17, ValueRequired, where.field(name).String(), fmt.Sprintf("Event at index: [%d] with name [%s] requires param [%s].", e.Index, e.Name, name))
		}
	}
}

// paramName is rule 11.
func (j *judging) paramName(e *Event, where path, name string) {
	switch code := ParamName(name); code {
	case NameReserved:
		j.split(e, 11, code, where.String(), fmt.Sprintf("Param name [%s] is reserved.", name))
	case NameInvalid:
		j.split(e, 11, code, where.String(), fmt.Sprintf("Param has invalid name [%s]. %s", name, nameProblem(name, MaxName)))
	}
}

// paramValue is rules 12 and 14 for an event's param.
func (j *judging) paramValue(e *Event, where path, p field) {
	if p.name != "session_id" && p.name != "session_number" {
		j.length(e, where, p)
	}
	if numeric[p.name] && p.kind != number {
		j.split(e, 14, ValueInvalid, where.String(), fmt.Sprintf("Param [%s] must be a number.", p.name))
	}
}

func (j *judging) length(e *Event, where path, p field) {
	if n := length(p.raw); p.kind == text && n > MaxValue {
		j.split(e, 12, ValueOutOfBounds, where.String(), fmt.Sprintf("Value of [%s] has %d characters; %d are allowed.", p.name, n, MaxValue))
	}
}

// money is rule 15.
func (j *judging) money(e *Event, where path, params *value) {
	currency := params.field("currency")
	switch {
	case currency.kind == absent && params.field("value").kind != absent && e.Name != "spend_virtual_currency":
		j.split(e, 15, ValueRequired, where.field("currency").String(), fmt.Sprintf("Event at index: [%d] has a value and no currency.", e.Index))
	case currency.kind != absent && !currencyForm.MatchString(currency.raw):
		j.split(e, 15, ValueInvalid, where.field("currency").String(), fmt.Sprintf("Currency [%s] is not an ISO 4217 code.", currency.raw))
	}
}

// items judges the list of items (rules 10, 11, 12, 13, 14, 16).
func (j *judging) items(e *Event, where path, items []field) {
	if n := len(items); n > MaxItems {
		j.split(e, 10, ExceededMaxEntities, where.String(), fmt.Sprintf("Event at index: [%d] has %d items; %d are allowed.", e.Index, n, MaxItems))
	}
	for i := range items {
		item := &items[i].value
		at := where.at(i)
		if item.kind != object {
			j.drop(e, 13, ValueInvalid, at.String(), fmt.Sprintf("Item [%d] has unsupported value [%s].", i, item.unsupported()))
			continue
		}
		custom := 0
		for _, p := range item.fields() {
			if !standardItem[p.name] {
				custom++
			}
			j.itemParam(e, at.field(p.name), p)
		}
		if custom > MaxItemParams {
			j.split(e, 10, ExceededMaxEntities, at.String(), fmt.Sprintf("Item [%d] has %d custom params; %d are allowed.", i, custom, MaxItemParams))
		}
		if item.text("item_id") == "" && item.text("item_name") == "" {
			j.split(e, 16, ValueRequired, at.String(), fmt.Sprintf("Item [%d] requires one of item_id and item_name.", i))
		}
	}
}

// itemParam judges one param of an item. Null drops the event in either mode,
// and so does an amount that is not a number in any spelling: both have been
// seen.
func (j *judging) itemParam(e *Event, where path, p field) {
	j.paramName(e, where, p.name)
	switch {
	case p.kind == null:
		j.drop(e, 13, ValueInvalid, where.String(), fmt.Sprintf("Item param [%s] has unsupported value [%s]", p.name, p.unsupported()))
	case p.kind != text && p.kind != number:
		j.split(e, 13, ValueInvalid, where.String(), fmt.Sprintf("Item param [%s] has unsupported value [%s]", p.name, p.unsupported()))
	case numeric[p.name] && p.kind == text:
		if _, err := strconv.ParseFloat(p.raw, 64); err != nil {
			j.drop(e, 14, InternalError, where.String(), fmt.Sprintf("Validation of item.%s should prevent conversion from unsupported value [string_value: %q]", p.name, p.raw))
			return
		}
		j.split(e, 14, ValueInvalid, where.String(), fmt.Sprintf("Item param [%s] must be a number.", p.name))
	default:
		j.length(e, where, p)
	}
}

// userProperties is rules 10 to 13 for user properties.
func (j *judging) userProperties(props []field) {
	if n := len(props); n > MaxProperties {
		j.split(nil, 10, ExceededMaxEntities, "user_properties", fmt.Sprintf("Measurement has %d user properties; %d are allowed.", n, MaxProperties))
	}
	for _, p := range props {
		at := "user_properties." + p.name
		switch code := PropertyName(p.name); code {
		case NameReserved:
			j.split(nil, 11, code, at, fmt.Sprintf("User property name [%s] is reserved.", p.name))
		case NameInvalid:
			j.split(nil, 11, code, at, fmt.Sprintf("User property has invalid name [%s]. %s", p.name, nameProblem(p.name, maxPropName)))
		}
		switch v := p.field("value"); {
		case v.kind != text && v.kind != number:
			j.split(nil, 13, ValueInvalid, at, fmt.Sprintf("User property [%s] has unsupported value [%s].", p.name, v.unsupported()))
		case v.kind == text && length(v.raw) > MaxPropertyValue:
			j.split(nil, 12, ValueOutOfBounds, at, fmt.Sprintf("User property [%s] has %d characters; %d are allowed.", p.name, length(v.raw), MaxPropertyValue))
		}
	}
}

// unsupported prints a value as Google's messages do.
func (v value) unsupported() string {
	switch v.kind {
	case absent, null:
		return "null_value: NULL_VALUE"
	case boolean:
		return "bool_value: " + v.raw
	case list:
		return "list_value"
	case object:
		return "struct_value"
	case number:
		return "number_value: " + v.raw
	}
	return fmt.Sprintf("string_value: %q", v.raw)
}
