package server

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestListenOnASocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	address := "unix:" + path
	first, err := listen(address, 0o660)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket is %v, %v; want mode 0660", info, err)
	}
	if second, err := listen(address, 0o660); err == nil {
		second.Close()
		t.Fatal("a second server took the socket of a live one")
	} else if !strings.Contains(err.Error(), "a server answers at "+path) {
		t.Errorf("the second server says: %v", err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the first server lost its socket: %v", err)
	}
	c.Close()

	first.(*net.UnixListener).SetUnlinkOnClose(false) // as after kill -9
	first.Close()
	third, err := listen(address, 0o600)
	if err != nil {
		t.Fatalf("a socket that nobody listens at: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v; want mode 0600", info, err)
	}
	third.Close()

	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := listen(address, 0o660); err == nil {
		l.Close()
		t.Error("a file was replaced by a socket")
	}
}
