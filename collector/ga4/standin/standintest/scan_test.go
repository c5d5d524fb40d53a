package standintest

import (
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/collector/ga4/standin"
)

// TestScan is every way in which a request could tell what it must not.
func TestScan(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, header, value, target, body string
		want                              string // the first find begins so; "": none
	}{
		{name: "a payload", body: `{"client_id":"123.456","events":[{"name":"page_view","timestamp_micros":1796071759968000,"params":{"page_location":"https://example.com/a"}}]}`},
		{name: "a hit", target: "/g/collect?cid=1.2&dl=https%3A%2F%2Fexample.com%2F&_p=1795435200000"},
		{name: "a version, a time, a program's name", body: `{"a":"1.2.3.4.5","b":"2026-11-30 20:44:46","c":"std::dead","d":"v1.2.3"}`},
		{name: "our own host", body: "http://192.0.2.44/a"},
		{name: "cookie", header: "Cookie", value: "x", want: "header Cookie"},
		{name: "forwarding", header: "X-Forwarded-For", value: "x", want: "header X-Forwarded-For"},
		{name: "forwarding, standard", header: "Forwarded", value: "for=x", want: "header Forwarded"},
		{name: "address in a header of our own", header: "X-Any", value: "198.51.100.200", want: `address "198.51.100.200" in header X-Any`},
		{name: "address in the query", target: "/mp/collect?_uip=192.0.2.7", want: `address "192.0.2.7" in the URL`},
		{name: "IPv6, percent-encoded twice", target: "/mp/collect?x=2001%253Adb8%253A%253A5", want: `address "2001:db8::5" in the URL`},
		{name: "address in the body", body: "at 192.0.2.7.", want: `address "192.0.2.7" in the body`},
		{name: "address with a port", body: "192.0.2.7:443", want: `address "192.0.2.7:443" in the body`},
		{name: "address behind letters", body: "ip192.0.2.7", want: `address "192.0.2.7" in the body`},
		{name: "IPv6 in brackets", body: "[2001:db8::5]:443", want: `address "2001:db8::5" in the body`},
		{name: "IPv4 in IPv6", body: "::ffff:192.0.2.7", want: `address "::ffff:192.0.2.7" in the body`},
		{name: "escaped in JSON", body: `{"a":"192.0.2\u002e7"}`, want: `address "192.0.2.7" in the body`},
		{name: "a visitor as a number", body: `{"a":3405803781}`, want: "address 203.0.113.5 as a number in the body"},
		{name: "the same inside of a longer one", body: `{"a":93405803781}`},
		{name: "a visitor in hex", body: `{"a":"cb007105"}`, want: "address 203.0.113.5 in hex in the body"},
		{name: "a visitor's network", body: `{"a":"203.0.113.0/24"}`, want: `address "203.0.113.0"`},
		{name: "part of a visitor's address", body: `{"a":"81.2.69.x"}`, want: "address 81.2.69.142 without its last number in the body"},
		{name: "e-mail", body: `{"a":"Ada.B+c@mail.example.net"}`, want: `e-mail address "Ada.B+c@mail.example.net" in the body`},
		{name: "e-mail, percent-encoded", target: "/g/collect?dt=a%40b.example", want: `e-mail address "a@b.example" in the URL`},
		{name: "e-mail, hashed", body: `{"em":"CFE00DDE46EF942601FFAFB9E2825E802858B460E586B8305B344C1EB826357D"}`, want: "hash of e-mail address ada@example.org in the body"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.target == "" {
				tt.target = "/mp/collect"
			}
			r := httptest.NewRequest("POST", tt.target, nil)
			if tt.header != "" {
				r.Header.Set(tt.header, tt.value)
			}
			found := Scan(r, []byte(tt.body), "192.0.2.44")
			if len(found) == 0 && tt.want != "" || len(found) > 0 && (tt.want == "" || !strings.HasPrefix(found[0], tt.want)) {
				t.Errorf("found %q, want %q first", found, tt.want)
			}
		})
	}
}

// failures is a test that only notes what it is failed for.
type failures struct {
	testing.TB
	notes []string
	ends  []func()
}

func (f *failures) Helper()            {}
func (f *failures) Cleanup(end func()) { f.ends = append(f.ends, end) }
func (f *failures) Errorf(format string, args ...any) {
	f.notes = append(f.notes, format)
}

// TestFails: a test fails for a request that was not even answered, and only
// once it ends.
func TestFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		target, body string
		fault        standin.Fault
		want         int
	}{
		"clean":                   {"/mp/collect", "{}", standin.Fault{}, 0},
		"in a body":               {"/mp/collect", "192.0.2.7", standin.Fault{}, 1},
		"in the URL of a refused": {"/mp/collect?x=192.0.2.7", "", standin.Fault{Kind: standin.Refuse}, 1},
		"where nobody listens":    {"/elsewhere", "192.0.2.7", standin.Fault{}, 1},
	} {
		f := &failures{TB: t}
		s := New(f, standin.Options{})
		s.Fail(c.fault)
		func() {
			defer func() { _ = recover() }() // a recorder cannot hang up as a server does
			s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", c.target, strings.NewReader(c.body)))
		}()
		if len(f.notes) > 0 {
			t.Errorf("%s: failed before its end", name)
		}
		for _, end := range f.ends {
			end()
		}
		if diff := cmp.Diff(c.want, len(f.notes)); diff != "" {
			t.Errorf("%s: %q", name, f.notes)
		}
	}
}

// TestEveryStandInIsWatched: a test that starts a stand-in of its own would
// escape the scan. Benchmarks may, whose figures it would change.
func TestEveryStandInIsWatched(t *testing.T) {
	t.Parallel()
	root, seen := filepath.Join("..", "..", "..", ".."), 0
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && path != root):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "bench_test.go"):
			return nil
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), "standin"+".New(") {
			t.Errorf("%s starts a stand-in that nobody watches; call standintest.New", path)
		}
		if strings.Contains(string(content), "standintest"+".New(") {
			seen++
		}
		return err
	})
	if err != nil || seen < 4 {
		t.Errorf("%d tests start a stand-in, %v; the walk misses some", seen, err)
	}
}
