package importer

import (
	"archive/zip"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// part is one stream of a source: a file, or an entry of a zip.
type part struct {
	name string
	r    io.Reader
}

// piece is a part that is not open: a file, or an entry of a zip.
type piece struct {
	file  string
	entry int               // of a zip; else 0
	sum   [sha256.Size]byte // of the whole file
	first time.Time         // when its first event was
}

// tally tells how much of the files was read.
type tally struct {
	done, total int64
	tell        func(done, total int64)
}

func (t *tally) add(n int) {
	t.done += int64(n)
	if t.tell != nil {
		t.tell(min(t.done, t.total), t.total)
	}
}

// counting is a file that adds up what is read of it.
type counting struct {
	*os.File
	t *tally
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.File.Read(b)
	c.t.add(n)
	return n, err
}

func (c *counting) ReadAt(b []byte, at int64) (int, error) {
	n, err := c.File.ReadAt(b, at)
	c.t.add(n)
	return n, err
}

// eachPart reads every file and returns the hashes of their contents. first says
// when the first event of a part was: the parts are read in that order, however
// the files are named. Where it is nil they are read as they come.
func eachPart(files []string, tell func(done, total int64), first func(part) time.Time, fn func(part) error) ([][sha256.Size]byte, error) {
	t := &tally{tell: tell}
	var sums [][sha256.Size]byte
	var pieces []piece
	for _, name := range files {
		sum, size, err := hashOf(name)
		if err != nil {
			return nil, err
		}
		if slices.Contains(sums, sum) {
			return nil, &FileError{File: name, Problem: "has the same content as a file before it: name each file once"}
		}
		sums, t.total = append(sums, sum), t.total+size
		entries, err := entriesOf(name)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			pieces = append(pieces, piece{file: name, entry: entry, sum: sum})
		}
	}
	if first != nil && len(pieces) > 1 {
		inOrder(pieces, first)
	}
	for _, p := range pieces {
		if err := p.open(t, fn); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// inOrder sorts pieces by their first event, those of one moment by content.
func inOrder(pieces []piece, first func(part) time.Time) {
	for i := range pieces {
		p := &pieces[i]
		// What is wrong with a part is said when it is read.
		_ = p.open(&tally{}, func(open part) error {
			p.first = first(open)
			return nil
		})
	}
	slices.SortFunc(pieces, func(a, b piece) int {
		return cmp.Or(a.first.Compare(b.first), slices.Compare(a.sum[:], b.sum[:]), cmp.Compare(a.entry, b.entry))
	})
}

func hashOf(name string) (sum [sha256.Size]byte, size int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return sum, 0, err
	}
	defer f.Close()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return sum, 0, fmt.Errorf("read %s: %w", name, err)
	}
	return [sha256.Size]byte(h.Sum(nil)), size, nil
}

func isZip(name string) bool { return strings.EqualFold(filepath.Ext(name), ".zip") }

// entriesOf numbers the entries of a zip that are parts; any other file is one.
func entriesOf(name string) ([]int, error) {
	if !isZip(name) {
		return []int{0}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	archive, err := openZip(&counting{f, &tally{}})
	if err != nil {
		return nil, err
	}
	var entries []int
	for i, entry := range archive.File {
		if !entry.FileInfo().IsDir() && !strings.HasPrefix(path.Base(entry.Name), ".") && !strings.HasPrefix(entry.Name, "__MACOSX/") {
			entries = append(entries, i)
		}
	}
	return entries, nil
}

func openZip(c *counting) (*zip.Reader, error) {
	info, err := c.Stat()
	if err != nil {
		return nil, err
	}
	archive, err := zip.NewReader(c, info.Size())
	if err != nil {
		return nil, &FileError{File: c.Name(), Problem: "is no zip archive: " + err.Error()}
	}
	return archive, nil
}

// open calls fn with the part, unpacked.
func (p piece) open(t *tally, fn func(part) error) error {
	f, err := os.Open(p.file)
	if err != nil {
		return err
	}
	defer f.Close()
	c := &counting{f, t}
	switch {
	case isZip(p.file):
		archive, err := openZip(c)
		if err != nil {
			return err
		}
		entry := archive.File[p.entry]
		name := p.file + "/" + entry.Name
		r, err := entry.Open()
		if err != nil {
			return &FileError{File: name, Problem: err.Error()}
		}
		return errors.Join(fn(part{name, r}), r.Close())
	case strings.EqualFold(filepath.Ext(p.file), ".gz"):
		z, err := gzip.NewReader(c)
		if err != nil {
			return &FileError{File: p.file, Problem: "is no gzip file: " + err.Error()}
		}
		return fn(part{p.file, z})
	}
	return fn(part{p.file, c})
}

// table reads a CSV file with a line of names at its top.
type table struct {
	file    string
	r       *csv.Reader
	columns map[string]int // lower case
	fields  []string       // of the line at hand; their memory is used again
	line    int
}

// openTable reads the names of columns and misses none of wanted.
func openTable(p part, wanted ...string) (*table, error) {
	t := &table{file: p.name, r: csv.NewReader(p.r), columns: map[string]int{}}
	t.r.FieldsPerRecord, t.r.ReuseRecord = -1, true
	names, err := t.r.Read()
	if errors.Is(err, io.EOF) {
		return nil, &FileError{File: p.name, Problem: "is empty"}
	}
	if err != nil {
		return nil, t.problem(err)
	}
	for i, name := range names {
		t.columns[strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))] = i
	}
	for _, name := range wanted {
		if _, ok := t.columns[name]; !ok {
			return nil, &FileError{File: p.name, Line: 1, Problem: fmt.Sprintf("has no column %q; its columns are %s", name, strings.Join(names, ", "))}
		}
	}
	return t, nil
}

// next reads a line; false at the end.
func (t *table) next() (bool, error) {
	var err error
	t.fields, err = t.r.Read()
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil {
		return false, t.problem(err)
	}
	t.line, _ = t.r.FieldPos(0)
	if len(t.fields) != len(t.columns) {
		return false, t.wrong("has %d fields, and the line of names has %d", len(t.fields), len(t.columns))
	}
	return true, nil
}

func (t *table) problem(err error) error {
	var e *csv.ParseError
	if errors.As(err, &e) {
		return &FileError{File: t.file, Line: e.Line, Problem: "is no CSV: " + e.Err.Error()}
	}
	return &FileError{File: t.file, Line: t.line, Problem: err.Error()}
}

func (t *table) wrong(format string, args ...any) error {
	return &FileError{File: t.file, Line: t.line, Problem: fmt.Sprintf(format, args...)}
}

// text is a field; "" where the table has no such column.
func (t *table) text(column string) string {
	if i, ok := t.columns[column]; ok {
		return t.fields[i]
	}
	return ""
}

// number is a count; 0 where the field is empty or there is no such column.
func (t *table) number(column string, err *error) uint64 {
	text := t.text(column)
	if text == "" || *err != nil {
		return 0
	}
	n, bad := strconv.ParseUint(text, 10, 48)
	if bad != nil {
		*err = t.wrong("%s is %q, no count", column, text)
	}
	return n
}

// date is the day of a column, as 2006-01-02 or 20060102.
func (t *table) date(column string) (int32, error) {
	text := t.text(column)
	d, ok := parseDate(text)
	if !ok {
		return 0, t.wrong("%s is %q, no date like 2025-12-31", column, text)
	}
	return d, nil
}

func parseDate(text string) (int32, bool) {
	layout := time.DateOnly
	if len(text) == 8 {
		layout = "20060102"
	}
	d, err := time.Parse(layout, text)
	if err != nil || d.Year() < 1995 || d.Year() > 2099 {
		return 0, false
	}
	return day(d), true
}
