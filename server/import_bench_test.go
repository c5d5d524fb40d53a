package server

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/collector/store/storetest"
)

// importBudget is what a million rows may take, from the command to its end.
const importBudget = time.Minute

// BenchmarkImport brings a million rows of Umami's export in: a year of 120,000
// visitors on 2,000 pages.
func BenchmarkImport(b *testing.B) {
	const rows = 1_000_000
	b.Setenv("SLUICE_LIBCHDB", storetest.Library(b))
	dir := b.TempDir()
	source := filepath.Join(dir, "website_event.csv")
	f, err := os.Create(source)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "session_id,visit_id,hostname,browser,os,device,country,url_path,url_query,referrer_domain,referrer_path,event_type,event_name,created_at")
	first := time.Now().UTC().AddDate(-1, 0, 0)
	for i := range rows {
		visit := i / 4
		at := first.Add(time.Duration(visit) * 126 * time.Second).Add(time.Duration(i%4) * 40 * time.Second)
		fmt.Fprintf(w, "s%d,v%d,example.com,%s,%s,%s,%s,/page/%d,,%s,/,1,,%s\n", visit%120_000, visit,
			[]string{"chrome", "firefox", "safari"}[visit%3], []string{"Linux", "iOS"}[visit%2], []string{"desktop", "mobile"}[visit%2],
			[]string{"DE", "FR", "US", "AT"}[visit%4], (i*7919)%2000, []string{"", "www.google.com", "news.ycombinator.com"}[visit%3], at.Format(time.DateTime))
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	for n := 0; b.Loop(); n++ {
		config := filepath.Join(dir, fmt.Sprintf("sluice%d.yaml", n))
		if err := os.WriteFile(config, fmt.Appendf(nil, "data_dir: data%d\nsites: [{domain: example.com}]\n", n), 0o600); err != nil {
			b.Fatal(err)
		}
		var out bytes.Buffer
		err := Run(b.Context(), []string{"import", "umami", source, "--site", "example.com", "--config", config}, strings.NewReader(""), &out, &out)
		if err != nil || !strings.Contains(out.String(), "is complete") {
			b.Fatalf("%v\n%s", err, &out)
		}
	}
	took := b.Elapsed() / time.Duration(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took.Seconds(), "s/million-rows")
	b.ReportMetric(took.Seconds()/importBudget.Seconds(), "of-budget")
}
