package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// Names of the first and the last file of an archive.
const (
	formatName   = "format"
	manifestName = "manifest.json"
)

func formatText(version int) string { return fmt.Sprintf("sluice backup %d\n", version) }

// Writer writes an archive. It holds a few megabytes, however large the
// archive is.
type Writer struct {
	made   time.Time
	tar    *tar.Writer
	layers []io.Closer // below the tar, outermost last
	files  []File
}

// Create begins an archive of the moment made on w. Without recipients it is
// not encrypted.
func Create(w io.Writer, recipients []age.Recipient, made time.Time) (*Writer, error) {
	out := &Writer{made: made.UTC()}
	if len(recipients) > 0 {
		sealed, err := age.Encrypt(w, recipients...)
		if err != nil {
			return nil, fmt.Errorf("encrypt the archive: %w", err)
		}
		out.layers, w = append(out.layers, sealed), sealed
	}
	// What is big in an archive, the tables' columns, is compressed already.
	packed, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("compress the archive: %w", err)
	}
	out.layers = append([]io.Closer{packed}, out.layers...)
	out.tar = tar.NewWriter(packed)
	return out, out.Add(formatName, []byte(formatText(Format)))
}

// Add adds a file.
func (w *Writer) Add(name string, content []byte) error {
	return w.add(name, int64(len(content)), bytes.NewReader(content))
}

// AddFile adds the file at from, up to the size that it has now: one that is
// being appended to may grow.
func (w *Writer) AddFile(name, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	defer f.Close() // only read from
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	return w.add(name, info.Size(), f)
}

// AddTree adds every file below the folder from, as name/….
func (w *Writer) AddTree(name, from string) error {
	return filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("add %s: %w", name, err)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		rest, err := filepath.Rel(from, file)
		if err != nil {
			return fmt.Errorf("add %s: %w", name, err)
		}
		return w.AddFile(path.Join(name, filepath.ToSlash(rest)), file)
	})
}

func (w *Writer) add(name string, size int64, content io.Reader) error {
	if err := w.header(name, size); err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w.tar, sum), io.LimitReader(content, size))
	if err == nil && n < size {
		err = fmt.Errorf("it has %d bytes where it had %d", n, size)
	}
	if err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	w.files = append(w.files, File{Name: name, Size: size, SHA256: hex.EncodeToString(sum.Sum(nil))})
	return nil
}

func (w *Writer) header(name string, size int64) error {
	err := w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: w.made})
	if err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	return nil
}

// Close ends the archive with its manifest, whose Format, Made and Files it
// fills in. An archive without it is none.
func (w *Writer) Close(m Manifest) error {
	m.Format, m.Made, m.Files = Format, w.made, w.files
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode the manifest: %w", err)
	}
	if err := w.header(manifestName, int64(len(b))); err != nil {
		return err
	}
	if _, err := w.tar.Write(b); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	errs := []error{w.tar.Close()}
	for _, layer := range w.layers {
		errs = append(errs, layer.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("end the archive: %w", err)
	}
	return nil
}
