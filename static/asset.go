package static

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/bits"
	"net/http"
	"strconv"
	"strings"

	"github.com/andybalholm/brotli"
)

// Asset is a file as browsers get it, compressed beforehand. It is immutable.
type Asset struct {
	Name string // "s.js"
	Type string // Content-Type
	// ETag is weak: it names the content, whatever its encoding.
	ETag string
	// CacheControl is the header of this name.
	CacheControl       string
	Body, Gzip, Brotli []byte
}

func newAsset(name string, body []byte, cacheControl string) Asset {
	return Asset{
		Name: name, Type: contentType(name), ETag: `W/"` + hash(body) + `"`, CacheControl: cacheControl,
		Body: body, Gzip: gzipped(body), Brotli: brotlied(body),
	}
}

// ServeHTTP answers with the smallest encoding that the request accepts, or
// with 304 where the client has the content. A Cache-Control set before stands.
func (a Asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.Type)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Add("Vary", "Accept-Encoding")
	h.Set("ETag", a.ETag)
	if h.Get("Cache-Control") == "" && a.CacheControl != "" {
		h.Set("Cache-Control", a.CacheControl)
	}
	if matches(r.Header.Values("If-None-Match"), a.ETag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body, encoding := a.negotiate(r.Header.Values("Accept-Encoding"))
	if encoding != "" {
		h.Set("Content-Encoding", encoding)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // the client is gone: nobody left to tell
}

func (a Asset) negotiate(accepted []string) (body []byte, encoding string) {
	switch {
	case accepts(accepted, "br"):
		return a.Brotli, "br"
	case accepts(accepted, "gzip"):
		return a.Gzip, "gzip"
	}
	return a.Body, ""
}

// accepts reports whether an Accept-Encoding (RFC 9110, 12.5.3) names coding
// with a weight above zero. "*" does not count: such clients get the plain body.
func accepts(header []string, coding string) bool {
	for _, part := range strings.Split(strings.Join(header, ","), ",") {
		name, params, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(name), coding) {
			continue
		}
		weight, found := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		if !found {
			return true
		}
		q, err := strconv.ParseFloat(weight, 64)
		return err == nil && q > 0
	}
	return false
}

// matches compares weakly, as If-None-Match asks (RFC 9110, 13.1.2).
func matches(header []string, etag string) bool {
	for _, candidate := range strings.Split(strings.Join(header, ","), ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

func gzipped(body []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(body)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("static: gzip into memory: %v", err)) // cannot fail
	}
	return b.Bytes()
}

// brotlied compresses with a window as large as the body: a larger one gains
// nothing, and the default one takes 34 MB for each banner, which a small
// server then holds for as long as it runs.
func brotlied(body []byte) []byte {
	var b bytes.Buffer
	window := min(max(bits.Len(uint(len(body)+16)), 16), 24) // 2ⁿ − 16 bytes; 16 has the shortest code (RFC 7932, 9.1)
	w := brotli.NewWriterOptions(&b, brotli.WriterOptions{Quality: brotli.BestCompression, LGWin: window})
	_, err := w.Write(body)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("static: brotli into memory: %v", err)) // cannot fail
	}
	return b.Bytes()
}
