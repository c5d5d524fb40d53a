package static

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/andybalholm/brotli"
)

// TestBrotliedIsSmall holds the window to the body: no byte larger than with
// the largest one, for a tenth of its memory. It is not parallel, so nothing
// else allocates.
func TestBrotliedIsSmall(t *testing.T) {
	for _, name := range []string{"s.js", "b.js", "dashboard.js"} {
		body, err := dist.ReadFile("dist/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		small := brotlied(body)
		runtime.ReadMemStats(&after)
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(10<<20); got > most {
			t.Errorf("%s: compressed with %d MB, want at most %d", name, got>>20, most>>20)
		}
		var large bytes.Buffer
		w := brotli.NewWriterOptions(&large, brotli.WriterOptions{Quality: brotli.BestCompression, LGWin: 22})
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if len(small) > large.Len() {
			t.Errorf("%s: %d bytes, %d with the largest window", name, len(small), large.Len())
		}
	}
}
