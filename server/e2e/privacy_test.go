package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sluice/static/browsertest"
)

// TestNoAddressAnywhere follows visitors of both address families through a
// whole visit, a restart and a withdrawal, then looks for their addresses in
// every form in every place that lasts: the data directory, the logs, and what
// Google was sent.
func TestNoAddressAnywhere(t *testing.T) {
	t.Parallel()
	r := newRig(t, kept)
	addresses := []string{visitorV4, visitorV6}
	for i, address := range addresses {
		r.visitor = address
		b := browsertest.Open(t)
		b.Visit(r.origin() + "/")
		b.Asked()
		b.Click("Accept all", "section")
		b.Gone()
		b.Visit(r.origin() + "/next")
		r.wantRows("SELECT count(), uniqExact(ip_hash) FROM events WHERE name = 'pageview'", fmt.Sprintf("%d,%d", 2*(i+1), i+1))
		if i == 0 {
			continue
		}
		b.Run(`sluice.open()`)
		b.Until(`$('dialog')?.open`)
		b.Click("Reject all", "dialog")
		b.Gone()
	}
	r.wantRows("SELECT state, count() FROM forwards FINAL WHERE event_id IN (SELECT event_id FROM events WHERE name = 'pageview') GROUP BY state", "acknowledged,4")
	r.stop()

	var forms []form
	for _, address := range addresses {
		forms = append(forms, formsOf(netip.MustParseAddr(address))...)
	}
	seen := false // what certainly is there: the scan reads what it should
	err := filepath.WalkDir(filepath.Join(r.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		seen = seen || bytes.Contains(content, []byte("Page next"))
		wantNone(t, path, content, forms)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !seen {
		t.Error("the scan did not find a page's title, which the spool holds")
	}
	wantNone(t, "the log", []byte(r.logs.String()), forms)
	for _, h := range r.google.Hits() {
		wantNone(t, "a request to Google", append([]byte(fmt.Sprint(h.Header, h.Query)), h.Body...), forms)
	}
}

// form is one way to write an address.
type form struct {
	name  string
	bytes []byte
}

// formsOf lists how an address could have been written: as text in its usual
// spellings, as a number, in hexadecimal and base64, and as bytes. The four
// bytes of an IPv4 address alone turn up by chance in compressed data, so they
// are looked for mapped into IPv6, as Go and ClickHouse store them.
func formsOf(a netip.Addr) []form {
	full := a.As16()
	out := []form{
		{"text", []byte(a.String())},
		{"expanded text", []byte(a.StringExpanded())},
		{"bytes", full[:]},
		{"hex", []byte(hex.EncodeToString(full[:]))},
		{"base64", []byte(base64.StdEncoding.EncodeToString(full[:]))},
	}
	reversed := full
	for i := range reversed {
		reversed[i] = full[len(full)-1-i]
	}
	out = append(out, form{"bytes, little endian", reversed[:]})
	if a.Is4() {
		b := a.As4()
		n := uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
		out = append(out,
			form{"number", []byte(strconv.FormatUint(n, 10))},
			form{"mapped text", []byte("::ffff:" + a.String())},
			form{"hex of four bytes", []byte(fmt.Sprintf("%08x", n))},
			form{"prefix", []byte(strings.TrimSuffix(a.String(), "142"))})
		return out
	}
	return append(out, form{"prefix", []byte("2001:4860:4860:1b:")})
}

func wantNone(t *testing.T, where string, content []byte, forms []form) {
	t.Helper()
	lower := bytes.ToLower(content)
	for _, f := range forms {
		if bytes.Contains(content, f.bytes) || bytes.Contains(lower, f.bytes) {
			t.Errorf("%s holds a visitor's address as %s", where, f.name)
		}
	}
}
