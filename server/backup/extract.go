package backup

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

const (
	ageMagic    = "age-encryption.org/v1"
	maxManifest = 64 << 20
	// maxWindow bounds what reading takes, whatever the archive asks for.
	maxWindow = 64 << 20
)

// ErrEncrypted is an archive that cannot be read without an identity.
var ErrEncrypted = errors.New("the archive is encrypted: give the file with the identity (AGE-SECRET-KEY-…) of one of its recipients as --identity")

// Extract reads an archive to its end, writes its files below dir, and checks
// all of them. Only where it returns no error does dir hold what was backed up.
// Errors: ErrEncrypted, *DamagedError, and what age says about an identity that
// does not fit.
func Extract(r io.Reader, identities []age.Identity, dir string) (Manifest, error) {
	content, err := unseal(r, identities)
	if err != nil {
		return Manifest{}, err
	}
	packed, err := zstd.NewReader(content, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return Manifest{}, fmt.Errorf("decompress the archive: %w", err)
	}
	defer packed.Close()
	x := extraction{dir: dir, tar: tar.NewReader(packed)}
	m, err := x.run()
	if err != nil {
		return Manifest{}, err
	}
	// The checksum and the seal at the very end are read here.
	if n, err := io.Copy(io.Discard, packed); err != nil || n > 2<<20 {
		return Manifest{}, &DamagedError{"", fmt.Sprintf("%d bytes follow its end (%v)", n, err)}
	}
	return m, nil
}

// unseal decrypts where that is needed.
func unseal(r io.Reader, identities []age.Identity) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	begin, err := b.Peek(len(ageMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	if string(begin) != ageMagic {
		return b, nil
	}
	if len(identities) == 0 {
		return nil, ErrEncrypted
	}
	content, err := age.Decrypt(b, identities...)
	var mismatch *age.NoIdentityMatchError
	if errors.As(err, &mismatch) {
		return nil, errors.New("the archive is encrypted to other recipients than the identity that was given")
	}
	if err != nil {
		return nil, fmt.Errorf("decrypt the archive: %w", err)
	}
	return content, nil
}

type extraction struct {
	dir   string
	tar   *tar.Reader
	files []File
}

func (x *extraction) run() (Manifest, error) {
	for {
		h, err := x.tar.Next()
		if errors.Is(err, io.EOF) {
			return Manifest{}, &DamagedError{"", "it has no manifest: it was cut short, or is no archive of Sluice"}
		}
		if err != nil {
			return Manifest{}, unreadable("", err)
		}
		switch {
		case len(x.files) == 0 && h.Name == formatName:
			if err := x.checkFormat(h); err != nil {
				return Manifest{}, err
			}
		case len(x.files) == 0:
			return Manifest{}, errors.New("this is no archive of Sluice: it does not begin with a format")
		case h.Name == manifestName:
			m, err := x.manifest(h)
			if err != nil {
				return Manifest{}, err
			}
			return m, x.check(m)
		default:
			if err := x.file(h); err != nil {
				return Manifest{}, err
			}
		}
	}
}

// unreadable says that a layer of the archive did not read on.
func unreadable(name string, err error) error {
	return &DamagedError{name, fmt.Sprintf("cannot be read to its end (%v)", err)}
}

func (x *extraction) checkFormat(h *tar.Header) error {
	b, err := io.ReadAll(io.LimitReader(x.tar, 100))
	if err != nil {
		return unreadable(h.Name, err)
	}
	if string(b) != formatText(Format) {
		return fmt.Errorf("the archive says it is %q, and this version of Sluice reads %q: use the one that wrote it, or a newer one",
			strings.TrimSpace(string(b)), strings.TrimSpace(formatText(Format)))
	}
	sum := sha256.Sum256(b)
	x.files = append(x.files, File{h.Name, int64(len(b)), hex.EncodeToString(sum[:])})
	return nil
}

// file writes one file. Its name comes out of the archive, so it is kept below
// dir.
func (x *extraction) file(h *tar.Header) (err error) {
	if h.Typeflag != tar.TypeReg || !filepath.IsLocal(h.Name) {
		return &DamagedError{fmt.Sprintf("%q", h.Name), "is nothing that Sluice puts into an archive"}
	}
	path := filepath.Join(x.dir, filepath.FromSlash(h.Name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("extract %s: %w", h.Name, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("extract %s: %w", h.Name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := sha256.New()
	n, err := io.Copy(f, io.TeeReader(x.tar, sum))
	var disk *os.PathError
	switch {
	case errors.As(err, &disk):
		return fmt.Errorf("extract %s: %w", h.Name, err)
	case err != nil:
		return unreadable(h.Name, err)
	}
	x.files = append(x.files, File{h.Name, n, hex.EncodeToString(sum.Sum(nil))})
	return f.Sync()
}

func (x *extraction) manifest(h *tar.Header) (m Manifest, err error) {
	if h.Size > maxManifest {
		return m, &DamagedError{h.Name, fmt.Sprintf("has %d bytes", h.Size)}
	}
	b, err := io.ReadAll(x.tar)
	if err != nil {
		return m, unreadable(h.Name, err)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, &DamagedError{h.Name, fmt.Sprintf("cannot be read (%v)", err)}
	}
	if _, err := x.tar.Next(); !errors.Is(err, io.EOF) {
		return m, &DamagedError{"", fmt.Sprintf("something follows its manifest (%v)", err)}
	}
	return m, nil
}

// check compares what was extracted with what the manifest names.
func (x *extraction) check(m Manifest) error {
	if m.Format != Format {
		return &DamagedError{manifestName, fmt.Sprintf("speaks of format %d", m.Format)}
	}
	for i, want := range m.Files {
		switch {
		case i >= len(x.files) || x.files[i].Name != want.Name:
			return &DamagedError{want.Name, "is missing, or not where the manifest says"}
		case x.files[i] != want:
			return &DamagedError{want.Name, "is not what was backed up: its size or SHA-256 differs from the manifest's"}
		}
	}
	if len(x.files) > len(m.Files) {
		return &DamagedError{x.files[len(m.Files)].Name, "is not in the manifest"}
	}
	return nil
}
