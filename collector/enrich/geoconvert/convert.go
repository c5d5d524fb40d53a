package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/oschwald/maxminddb-golang/v2"
)

// Convert writes the countries of the flat database in to out, in the layout
// of GeoLite2-Country, and returns how many networks it holds. out appears
// whole or not at all. The build time is the source's, so that the same input
// gives the same output.
func Convert(in, out string) (networks int, err error) {
	source, err := maxminddb.Open(in)
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", in, err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		BuildEpoch:   int64(source.Metadata.BuildEpoch),
		DatabaseType: "GeoLite2-Country",
		Description:  map[string]string{"en": "Countries by network, from " + filepath.Base(in)},
		RecordSize:   24,
		// The source says what it knows of reserved space, too.
		IncludeReservedNetworks: true,
		DisableIPv4Aliasing:     true,
		KeyGenerator:            byCountry{},
	})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", out, err)
	}
	if networks, err = fill(tree, source); err != nil {
		return 0, fmt.Errorf("convert %s: %w", in, err)
	}
	if networks == 0 {
		return 0, fmt.Errorf("convert %s: no record has a country_code", in)
	}
	if err := replace(out, tree); err != nil {
		return 0, fmt.Errorf("write %s: %w", out, err)
	}
	return networks, nil
}

func fill(tree *mmdbwriter.Tree, source *maxminddb.Reader) (n int, err error) {
	records := map[string]mmdbtype.DataType{}
	for result := range source.Networks() {
		var flat struct {
			Country string `maxminddb:"country_code"`
		}
		if err := result.Decode(&flat); err != nil {
			return 0, fmt.Errorf("read %s: %w", result.Prefix(), err)
		}
		if len(flat.Country) != 2 {
			continue
		}
		record, ok := records[flat.Country]
		if !ok {
			record = mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(flat.Country)}}
			records[flat.Country] = record
		}
		if err := tree.Insert(ipNet(result.Prefix()), record); err != nil {
			return 0, fmt.Errorf("insert %s: %w", result.Prefix(), err)
		}
		n++
	}
	return n, nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// byCountry names a record by its country: the default, a hash of the encoded
// record per network, takes most of the time.
type byCountry struct{}

// Key implements mmdbwriter.KeyGenerator.
func (byCountry) Key(v mmdbtype.DataType) ([]byte, error) {
	if m, ok := v.(mmdbtype.Map); ok {
		if country, ok := m["country"].(mmdbtype.Map); ok {
			if code, ok := country["iso_code"].(mmdbtype.String); ok {
				return []byte(code), nil
			}
		}
	}
	return nil, fmt.Errorf("record %v has no country", v)
}

// replace writes tree to a file beside out and renames it.
func replace(out string, tree io.WriterTo) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(out), "."+filepath.Base(out)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	if _, err = tree.WriteTo(tmp); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err = errors.Join(tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), out)
}
