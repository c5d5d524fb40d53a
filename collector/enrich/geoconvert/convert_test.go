package main

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/oschwald/geoip2-golang/v2"
)

// flat writes a database in the layout of the npm package.
func flat(t *testing.T, records map[string]string) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "country ipvAll", IncludeReservedNetworks: true, DisableIPv4Aliasing: true})
	if err != nil {
		t.Fatal(err)
	}
	for network, code := range records {
		_, n, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(n, mmdbtype.Map{"country_code": mmdbtype.String(code)}); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "flat.mmdb")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConvert(t *testing.T) {
	t.Parallel()
	in := flat(t, map[string]string{
		"81.2.69.0/24": "GB", "8.8.8.0/24": "US", "2001:4860::/32": "US", "10.0.0.0/8": "ZZ", "192.0.2.0/24": "None",
	})
	out := filepath.Join(t.TempDir(), "country.mmdb")
	n, err := Convert(in, out)
	if err != nil {
		t.Fatal(err)
	}
	if n != 4 {
		t.Errorf("converted %d networks, want 4", n)
	}
	db, err := geoip2.Open(out)
	if err != nil {
		t.Fatalf("geoip2-golang refuses the result: %v", err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	for addr, want := range map[string]string{
		"81.2.69.142": "GB", "8.8.8.8": "US", "2001:4860:4860::8888": "US", "10.1.2.3": "ZZ", "192.0.2.1": "", "9.9.9.9": "",
	} {
		c, err := db.Country(netip.MustParseAddr(addr))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Country.ISOCode; got != want {
			t.Errorf("country of %s = %q, want %q", addr, got, want)
		}
	}
}

func TestConvertLeavesTheOldFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out := filepath.Join(dir, "country.mmdb")
	if err := os.WriteFile(out, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]string{
		"a missing file": filepath.Join(dir, "none.mmdb"),
		"no countries":   flat(t, map[string]string{"8.8.8.0/24": ""}),
		"no database":    out,
	} {
		if n, err := Convert(in, out); err == nil {
			t.Errorf("Convert took %s: %d networks", name, n)
		}
	}
	if b, err := os.ReadFile(out); err != nil || string(b) != "old" {
		t.Errorf("the old file is %q, %v", b, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
