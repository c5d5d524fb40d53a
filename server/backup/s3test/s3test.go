// Package s3test is S3 for tests, in process: as much of it as Sluice uses.
package s3test

import (
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/server/backup"
)

// Credentials are the only ones that a Server believes.
var Credentials = backup.Credentials{AccessKey: "ACCESS", SecretKey: "s3cr3t", Region: "eu-test-1"}

// Server keeps the objects and uploads of one bucket, called "bucket". It
// checks every signature and every body's sum, and lists in pages of two.
type Server struct {
	*httptest.Server
	// Fail may answer a request with a status of its own; 0: it does not. To be
	// set before the first request.
	Fail func(r *http.Request) int
	// Lie completes uploads with 200 and an error, as S3 may.
	Lie bool

	mu      sync.Mutex
	objects map[string][]byte
	uploads map[string]map[int][]byte
}

// New starts a server that stops with the test.
func New(t testing.TB) *Server {
	t.Helper()
	f := &Server{
		objects: map[string][]byte{}, uploads: map[string]map[int][]byte{},
		Fail: func(*http.Request) int { return 0 },
	}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// Left returns the objects, and how many uploads are under way.
func (f *Server) Left() (objects map[string][]byte, uploads int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.objects), len(f.uploads)
}

// ServeHTTP answers a request to the bucket.
func (f *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	if status := f.Fail(r); status != 0 {
		w.WriteHeader(status)
		return
	}
	if problem := f.check(r, body); problem != "" {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", problem)
		return
	}
	key, isObject := strings.CutPrefix(r.URL.Path, "/bucket/")
	q := r.URL.Query()
	switch {
	case r.URL.Path == "/bucket" && q.Get("list-type") == "2":
		f.list(w, q.Get("prefix"), q.Get("continuation-token"))
	case !isObject:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "<Error><Code>NoSuchBucket</Code><Message>no such bucket</Message></Error>")
	case q.Has("uploads"):
		id := "upload " + strconv.Itoa(len(f.uploads)+1)
		f.uploads[id] = map[int][]byte{}
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
	case q.Has("uploadId"):
		f.upload(w, r.Method, key, q.Get("uploadId"), q.Get("partNumber"), body)
	case r.Method == http.MethodPut:
		f.objects[key] = body
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(body)))
	case r.Method == http.MethodDelete:
		delete(f.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case f.objects[key] == nil:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>")
	default:
		_, _ = w.Write(f.objects[key]) // the client may be gone
	}
}

// check signs the request again and compares.
func (f *Server) check(r *http.Request, body []byte) string {
	sum := fmt.Sprintf("%x", sha256.Sum256(body))
	if r.Header.Get("X-Amz-Content-Sha256") != sum {
		return "XAmzContentSHA256Mismatch"
	}
	got := r.Header.Get("Authorization")
	_, signed, _ := strings.Cut(got, "SignedHeaders=")
	signed, _, _ = strings.Cut(signed, ",")
	again, err := http.NewRequest(r.Method, "http://"+r.Host+r.URL.RequestURI(), nil)
	if err != nil {
		panic(err)
	}
	for _, name := range strings.Split(signed, ";") {
		if name != "host" {
			again.Header.Set(name, r.Header.Get(name))
		}
	}
	moment, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return "AccessDenied"
	}
	Credentials.Sign(again, sum, moment)
	if again.Header.Get("Authorization") != got {
		return "SignatureDoesNotMatch"
	}
	return ""
}

func (f *Server) list(w http.ResponseWriter, prefix, after string) {
	fmt.Fprint(w, "<ListBucketResult>")
	n := 0
	for _, key := range slices.Sorted(maps.Keys(f.objects)) {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok || strings.Contains(rest, "/") || key <= after {
			continue
		}
		if n == 2 {
			fmt.Fprintf(w, "<IsTruncated>true</IsTruncated><NextContinuationToken>%s</NextContinuationToken>", after)
			break
		}
		n, after = n+1, key
		fmt.Fprintf(w, "<Contents><Key>%s</Key></Contents>", key)
	}
	fmt.Fprint(w, "</ListBucketResult>")
}

func (f *Server) upload(w http.ResponseWriter, method, key, id, part string, body []byte) {
	parts := f.uploads[id]
	switch {
	case parts == nil:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "<Error><Code>NoSuchUpload</Code></Error>")
	case method == http.MethodDelete:
		delete(f.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	case method == http.MethodPut:
		n, err := strconv.Atoi(part)
		if err != nil {
			panic(err)
		}
		parts[n] = body
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(body)))
	case f.Lie:
		fmt.Fprint(w, "<Error><Code>InternalError</Code><Message>try again</Message></Error>")
	default:
		if !strings.HasPrefix(string(body), "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>") {
			panic("not as in the API reference: " + string(body))
		}
		var c struct {
			Parts []struct {
				Number int `xml:"PartNumber"`
				ETag   string
			} `xml:"Part"`
		}
		if err := xml.Unmarshal(body, &c); err != nil {
			panic(err)
		}
		var whole []byte
		for i, p := range c.Parts {
			if p.Number != i+1 || p.ETag != fmt.Sprintf(`"%x"`, sha256.Sum256(parts[p.Number])) {
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, "<Error><Code>InvalidPart</Code></Error>")
				return
			}
			whole = append(whole, parts[p.Number]...)
		}
		f.objects[key] = whole
		delete(f.uploads, id)
		fmt.Fprint(w, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
	}
}
