package collector

import (
	"math"
	"strconv"
	"strings"

	"sluice/collector/jsonreader"
	"sluice/consent"
)

// umamiEvent is a body of Umami's /api/send (umami.is/docs/api/sending-stats):
// {"type", "payload"}.
type umamiEvent struct {
	kind, hostname, website string
	wireEvent
}

// Kinds of bodies. Vitals come without a name.
const (
	umamiEventKind  = "event"
	umamiVitalsKind = "performance"
)

// readUmami reads a body. The page's address may be a path; its host stands
// beside it. Nested data is flattened with dots, lists become their JSON, as
// Umami does. Errors: consent.ErrNotJSON, *consent.FieldError.
func readUmami(body string) (u umamiEvent, err error) {
	u.kind = umamiEventKind
	r := jsonreader.New(body)
	if r.Next() != '{' {
		return u, consent.ErrNotJSON
	}
	r.Object(func(key string) {
		switch key {
		case "type":
			r.TextInto(&u.kind, &u.wrong)
		case "payload":
			u.readPayload(&r)
		default:
			r.Skip()
		}
	})
	if r.End(); r.Failed() {
		return u, consent.ErrNotJSON
	}
	u.settle()
	return u, nil
}

func (u *umamiEvent) readPayload(r *jsonreader.Reader) {
	if !r.Is('{', &u.wrong) {
		return
	}
	r.Object(func(key string) {
		switch key {
		case "website":
			r.TextInto(&u.website, &u.wrong)
		case "hostname":
			r.TextInto(&u.hostname, &u.wrong)
		case "url":
			r.TextInto(&u.url, &u.wrong)
		case "referrer":
			r.TextInto(&u.referrer, &u.wrong)
		case "title":
			r.TextInto(&u.title, &u.wrong)
		case "name":
			r.TextInto(&u.name, &u.wrong)
		case "id":
			r.TextInto(&u.visitor, &u.wrong)
		case "tag":
			var tag string
			if r.TextInto(&tag, &u.wrong); tag != "" {
				u.addProp(Prop{"tag", tag})
			}
		case "screen":
			var size string
			r.TextInto(&size, &u.wrong)
			u.screen = screenOf(strings.Split(size, "x"))
		case "timestamp":
			var seconds jsonreader.Optional
			if r.NumberInto(&seconds, &u.wrong); seconds.Set {
				u.ts = jsonreader.Optional{Value: 1000 * seconds.Value, Set: true}
			}
		case "data":
			u.readData(r, "")
		case "lcp", "inp", "cls", "fcp", "ttfb":
			var n jsonreader.Optional
			if r.NumberInto(&n, &u.wrong); n.Set {
				u.addProp(Prop{strings.ToUpper(key), n.Value}) // as our own script names them
			}
		default:
			r.Skip()
		}
	})
}

// readData flattens an object of data into properties.
func (u *umamiEvent) readData(r *jsonreader.Reader, prefix string) {
	switch c := r.Next(); c {
	case '{':
		if len(prefix) > maxPropKey { // no name is longer, and each level would hold its own
			r.Skip()
			u.cut++
			return
		}
		r.Object(func(key string) {
			if prefix != "" {
				key = prefix + "." + key
			}
			u.readData(r, key)
		})
		return
	case '"':
		if text := r.Text(); text != "" && prefix != "" {
			u.addProp(Prop{prefix, text})
		}
	case '[':
		if list := r.Skip(); prefix != "" {
			u.addProp(Prop{prefix, list})
		}
	case 't', 'f':
		if yes := r.Skip() == "true"; prefix != "" {
			u.addProp(Prop{prefix, yes})
		}
	case 'n':
		r.Skip()
	default:
		if n, ok := r.Number(); ok && prefix != "" {
			u.addProp(Prop{prefix, n})
		}
	}
}

// settle names the event and completes its addresses.
func (u *umamiEvent) settle() {
	switch {
	case u.kind == umamiVitalsKind:
		u.name = consent.EventWebVital
	case u.kind != umamiEventKind:
		// identify attaches what a site knows of a person to a visitor; there is
		// no place for that here.
		u.wrong = true
	case u.name == "":
		u.name = consent.EventPageview
	}
	if host := consent.HostOf(u.url); host != "" {
		u.hostname = host
	} else if u.hostname != "" {
		u.url = onHost(u.hostname, u.url)
	}
	if strings.HasPrefix(u.referrer, "/") {
		u.referrer = onHost(u.hostname, u.referrer)
	}
}

// onHost completes an address that is a path. The scheme is not kept.
func onHost(host, path string) string {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return "https://" + host + path
}

// screenOf reads width and height from the beginning of a list of numbers; nil
// where they are none.
func screenOf(parts []string) []float64 {
	if len(parts) < 2 {
		return nil
	}
	out := make([]float64, 2)
	for i := range out {
		n, err := strconv.ParseFloat(strings.TrimSpace(parts[i]), 64)
		if err != nil || n < 0 || n > math.MaxUint16 {
			return nil
		}
		out[i] = math.Round(n)
	}
	return out
}
