package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

// Bucket keeps archives as objects below a prefix, in S3 or what speaks like
// it. It addresses buckets by path, which every implementation understands.
type Bucket struct {
	Endpoint string // https://s3.eu-central-1.amazonaws.com, http://minio:9000
	Name     string
	Prefix   string // "" or a path without slashes around it
	Credentials

	Now    func() time.Time
	Client *http.Client
	// PartSize is how much is held in memory and sent at a time; 0 means 16 MiB.
	// S3 takes 5 MiB to 5 GiB.
	PartSize int
	// Wait pauses between attempts; nil sleeps.
	Wait func(ctx context.Context, d time.Duration) error
}

const (
	defaultPart = 16 << 20
	// S3 takes 10 000 parts. Parts grow with the archive, so that 5 TiB, its
	// limit for an object, fit.
	growEvery = 1000
	attempts  = 4
)

// S3Error is a refusal of the server's, in its words.
type S3Error struct {
	Status  int
	Code    string `xml:"Code"`
	Message string `xml:"Message"`
}

func (e *S3Error) Error() string {
	if e.Code == "" {
		return "S3 answers " + strconv.Itoa(e.Status)
	}
	return fmt.Sprintf("S3 answers %d %s: %s", e.Status, e.Code, e.Message)
}

// passing reports whether another attempt may succeed.
func (e *S3Error) passing() bool {
	return e.Status >= 500 || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout
}

// Path implements [Place].
func (b *Bucket) Path(name string) string { return "s3://" + path.Join(b.Name, b.Prefix, name) }

func (b *Bucket) key(name string) string { return path.Join(b.Prefix, name) }

// Names implements [Place].
func (b *Bucket) Names(ctx context.Context) ([]string, error) {
	prefix := b.Prefix
	if prefix != "" {
		prefix += "/"
	}
	var names []string
	for token := ""; ; {
		q := url.Values{"list-type": {"2"}, "prefix": {prefix}, "delimiter": {"/"}}
		if token != "" {
			q.Set("continuation-token", token)
		}
		var page struct {
			Contents []struct{ Key string }
			Next     string `xml:"NextContinuationToken"`
			More     bool   `xml:"IsTruncated"`
		}
		if err := b.call(ctx, http.MethodGet, "", q, nil, &page); err != nil {
			return nil, fmt.Errorf("list %s: %w", b.Path(""), err)
		}
		for _, o := range page.Contents {
			names = append(names, strings.TrimPrefix(o.Key, prefix))
		}
		if token = page.Next; !page.More || token == "" {
			return archives(names), nil
		}
	}
}

// Open implements [Place].
func (b *Bucket) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	resp, err := b.try(ctx, http.MethodGet, b.key(name), nil, nil)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", b.Path(name), err)
	}
	return resp.Body, nil
}

// Remove implements [Place].
func (b *Bucket) Remove(ctx context.Context, name string) error {
	if err := b.call(ctx, http.MethodDelete, b.key(name), nil, nil, nil); err != nil {
		return fmt.Errorf("remove %s: %w", b.Path(name), err)
	}
	return nil
}

// Create implements [Place]. A small archive becomes one request, a large one
// an upload in parts, which S3 makes visible when it is completed.
func (b *Bucket) Create(ctx context.Context, name string) (Upload, error) {
	return &upload{ctx: ctx, b: b, key: b.key(name), part: make([]byte, 0, b.partSize(0))}, nil
}

func (b *Bucket) partSize(done int) int {
	size := b.PartSize
	if size == 0 {
		size = defaultPart
	}
	return size << (done / growEvery)
}

// upload gathers an archive into parts.
type upload struct {
	ctx   context.Context // of Create: an io.Writer is given none
	b     *Bucket
	key   string
	id    string // of the upload; "" before its first part
	part  []byte
	etags []string
}

func (u *upload) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if len(u.part) == cap(u.part) {
			if err := u.send(); err != nil {
				return n, err
			}
		}
		some := min(len(p), cap(u.part)-len(u.part))
		u.part = append(u.part, p[:some]...)
		p, n = p[some:], n+some
	}
	return n, nil
}

// send sends the part that is full, or the last one.
func (u *upload) send() error {
	if u.id == "" {
		var begun struct {
			ID string `xml:"UploadId"`
		}
		if err := u.b.call(u.ctx, http.MethodPost, u.key, url.Values{"uploads": {""}}, nil, &begun); err != nil {
			return fmt.Errorf("begin an upload: %w", err)
		}
		if begun.ID == "" {
			return errors.New("begin an upload: the server gave it no id")
		}
		u.id = begun.ID
	}
	number := len(u.etags) + 1
	q := url.Values{"partNumber": {strconv.Itoa(number)}, "uploadId": {u.id}}
	resp, err := u.b.try(u.ctx, http.MethodPut, u.key, q, u.part)
	if err != nil {
		return fmt.Errorf("upload part %d: %w", number, err)
	}
	if err := drain(resp); err != nil {
		return fmt.Errorf("upload part %d: %w", number, err)
	}
	if !tagged(resp) {
		return fmt.Errorf("upload part %d: %w", number, u.b.stranger(resp))
	}
	u.etags = append(u.etags, resp.Header.Get("ETag"))
	u.part = u.part[:0]
	if size := u.b.partSize(number); size > cap(u.part) {
		u.part = make([]byte, 0, size)
	}
	return nil
}

// completion is the body that ends an upload.
type completion struct {
	XMLName xml.Name        `xml:"CompleteMultipartUpload"`
	Parts   []completedPart `xml:"Part"`
}

type completedPart struct {
	Number int `xml:"PartNumber"`
	ETag   string
}

// Commit implements [Upload].
func (u *upload) Commit() error {
	if u.id == "" {
		if err := u.b.put(u.ctx, u.key, u.part); err != nil {
			return fmt.Errorf("upload the archive: %w", err)
		}
		return nil
	}
	if len(u.part) > 0 {
		if err := u.send(); err != nil {
			return errors.Join(err, u.Abort())
		}
	}
	var c completion
	for i, tag := range u.etags {
		c.Parts = append(c.Parts, completedPart{Number: i + 1, ETag: tag})
	}
	body, err := xml.Marshal(c)
	if err == nil {
		err = u.b.complete(u.ctx, u.key, u.id, body)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("complete the upload: %w", err), u.Abort())
	}
	return nil
}

// put stores an object in one request. A proxy or a site's own pages may well
// answer 2xx to anything: what has no ETag, which S3 always gives, is stored
// only if it can be seen there. Write-only credentials may not look, so that
// nobody does who was given one.
func (b *Bucket) put(ctx context.Context, key string, body []byte) error {
	resp, err := b.try(ctx, http.MethodPut, key, nil, body)
	if err != nil {
		return err
	}
	if err := drain(resp); err != nil || tagged(resp) {
		return err
	}
	seen, err := b.try(ctx, http.MethodHead, key, nil, nil)
	if err != nil {
		return errors.Join(b.stranger(resp), err)
	}
	if err := drain(seen); err != nil {
		return err
	}
	if seen.ContentLength != int64(len(body)) {
		return b.stranger(resp)
	}
	return nil
}

// tagged reports whether S3 says what it has stored. A page has a tag that is
// weak, as web servers make them, or none.
func tagged(resp *http.Response) bool {
	tag := resp.Header.Get("ETag")
	return tag != "" && !strings.HasPrefix(tag, "W/") && !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html")
}

// stranger is the error of an answer that is not S3's.
func (b *Bucket) stranger(resp *http.Response) error {
	return fmt.Errorf("%s answers %d without having stored it (it gives no ETag): it does not speak S3, or what stands before it does not", b.Endpoint, resp.StatusCode)
}

// complete ends an upload. The answer may be 200 and an error all the same:
// the status is sent before S3 has put the parts together.
func (b *Bucket) complete(ctx context.Context, key, id string, body []byte) error {
	var answer struct {
		XMLName xml.Name
		S3Error
	}
	if err := b.call(ctx, http.MethodPost, key, url.Values{"uploadId": {id}}, body, &answer); err != nil {
		return err
	}
	if answer.XMLName.Local != "CompleteMultipartUploadResult" {
		answer.Status = http.StatusOK
		return &answer.S3Error
	}
	return nil
}

// Abort implements [Upload]. It also works where the upload's own context has
// ended: parts that lie about cost money and show nowhere.
func (u *upload) Abort() error {
	if u.id == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), 30*time.Second)
	defer cancel()
	if err := u.b.call(ctx, http.MethodDelete, u.key, url.Values{"uploadId": {u.id}}, nil, nil); err != nil {
		return fmt.Errorf("give up an upload (its parts stay until the bucket's rules remove them): %w", err)
	}
	return nil
}

// call makes a request and reads its answer into xml, nil: nobody wants it.
func (b *Bucket) call(ctx context.Context, method, key string, q url.Values, body []byte, into any) error {
	resp, err := b.try(ctx, method, key, q, body)
	if err != nil {
		return err
	}
	if into == nil {
		return drain(resp)
	}
	err = xml.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(into)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("read the answer of S3: %w", err)
	}
	return nil
}

// try makes a request, again where that may help. The caller closes the body.
func (b *Bucket) try(ctx context.Context, method, key string, q url.Values, body []byte) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		resp, err := b.request(ctx, method, key, q, body)
		var refusal *S3Error
		if err == nil || ctx.Err() != nil || attempt == attempts || errors.As(err, &refusal) && !refusal.passing() {
			return resp, err
		}
		if err := b.pause(ctx, time.Second<<(attempt-1)); err != nil {
			return nil, err
		}
	}
}

func (b *Bucket) pause(ctx context.Context, d time.Duration) error {
	if b.Wait != nil {
		return b.Wait(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// request signs and makes one request. Any status but 2xx is an *S3Error.
func (b *Bucket) request(ctx context.Context, method, key string, q url.Values, body []byte) (*http.Response, error) {
	u, err := url.Parse(b.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	u.Path = "/" + path.Join(strings.Trim(u.Path, "/"), b.Name, key)
	// The path is sent as it is signed, and the query too.
	u.RawPath, u.RawQuery = canonicalPath(u.Path), canonicalQuery(q)
	r, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make a request to S3: %w", err)
	}
	b.Sign(r, fmt.Sprintf("%x", sha256.Sum256(body)), b.Now())
	resp, err := b.Client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask S3: %w", err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	refusal := &S3Error{Status: resp.StatusCode}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, fmt.Errorf("read the answer of S3: %w", err)
	}
	if xml.Unmarshal(text, refusal) != nil {
		refusal.Code = "" // no XML: a proxy's page, or no body
	}
	return nil, refusal
}

// drain reads an answer to its end, so that its connection can be used again.
func drain(resp *http.Response) error {
	_, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("read the answer of S3: %w", err)
	}
	return nil
}
