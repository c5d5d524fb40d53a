package collector

import (
	"math"
	"strconv"
	"strings"

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
	r := jsonReader{s: body}
	if r.next() != '{' {
		return u, consent.ErrNotJSON
	}
	r.object(func(key string) {
		switch key {
		case "type":
			r.textInto(&u.kind, &u.wrong)
		case "payload":
			u.readPayload(&r)
		default:
			r.skip()
		}
	})
	if r.end(); r.failed {
		return u, consent.ErrNotJSON
	}
	u.settle()
	return u, nil
}

func (u *umamiEvent) readPayload(r *jsonReader) {
	if !r.is('{', &u.wrong) {
		return
	}
	r.object(func(key string) {
		switch key {
		case "website":
			r.textInto(&u.website, &u.wrong)
		case "hostname":
			r.textInto(&u.hostname, &u.wrong)
		case "url":
			r.textInto(&u.url, &u.wrong)
		case "referrer":
			r.textInto(&u.referrer, &u.wrong)
		case "title":
			r.textInto(&u.title, &u.wrong)
		case "name":
			r.textInto(&u.name, &u.wrong)
		case "id":
			r.textInto(&u.visitor, &u.wrong)
		case "tag":
			var tag string
			if r.textInto(&tag, &u.wrong); tag != "" {
				u.addProp(Prop{"tag", tag})
			}
		case "screen":
			var size string
			r.textInto(&size, &u.wrong)
			u.screen = screenOf(strings.Split(size, "x"))
		case "timestamp":
			var seconds optional
			if r.numberInto(&seconds, &u.wrong); seconds.set {
				u.ts = optional{1000 * seconds.value, true}
			}
		case "data":
			u.readData(r, "")
		case "lcp", "inp", "cls", "fcp", "ttfb":
			var n optional
			if r.numberInto(&n, &u.wrong); n.set {
				u.addProp(Prop{strings.ToUpper(key), n.value}) // as our own script names them
			}
		default:
			r.skip()
		}
	})
}

// readData flattens an object of data into properties.
func (u *umamiEvent) readData(r *jsonReader, prefix string) {
	switch c := r.next(); c {
	case '{':
		r.object(func(key string) {
			if prefix != "" {
				key = prefix + "." + key
			}
			u.readData(r, key)
		})
		return
	case '"':
		if text := r.text(); text != "" && prefix != "" {
			u.addProp(Prop{prefix, text})
		}
	case '[':
		if list := r.skip(); prefix != "" {
			u.addProp(Prop{prefix, list})
		}
	case 't', 'f':
		if yes := r.skip() == "true"; prefix != "" {
			u.addProp(Prop{prefix, yes})
		}
	case 'n':
		r.skip()
	default:
		if n, ok := r.number(); ok && prefix != "" {
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
