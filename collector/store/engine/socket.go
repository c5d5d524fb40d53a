package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// maxSocketPath is the longest path of a unix socket that every platform
// takes: sun_path has 108 bytes on Linux and 104 on macOS, one of them NUL.
const maxSocketPath = 103

// SocketPath returns where the engine of dir (data_dir/engine, absolute)
// listens: in dir, or, where that path is too long for a socket, in a folder
// of this user's own under the temporary directory. It only computes.
func SocketPath(dir string) string {
	const name = "engine.sock"
	if path := filepath.Join(dir, name); len(path) <= maxSocketPath {
		return path
	}
	sum := sha256.Sum256([]byte(dir))
	own := filepath.Join("sluice-"+strconv.Itoa(os.Getuid()), hex.EncodeToString(sum[:8])+".sock")
	if path := filepath.Join(os.TempDir(), own); len(path) <= maxSocketPath {
		return path
	}
	return filepath.Join("/tmp", own)
}

// prepareSocket makes the folder of path and clears away the socket of an
// engine that died. The caller holds the lock of the engine's directory. A
// folder in shared ground has to be this user's and closed to everybody else.
func prepareSocket(path, dir string) error {
	if folder := filepath.Dir(path); folder != dir {
		if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("make the folder of the engine's socket: %w", err)
		}
		info, err := os.Lstat(folder)
		if err != nil {
			return fmt.Errorf("look at the folder of the engine's socket: %w", err)
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if !info.IsDir() || info.Mode().Perm() != 0o700 || !ok || int(owner.Uid) != os.Getuid() {
			return fmt.Errorf("%s has to be a folder of user %d with mode 0700: remove it, or set TMPDIR to another place",
				folder, os.Getuid())
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the socket of an earlier engine: %w", err)
	}
	return nil
}
