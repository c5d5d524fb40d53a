package server

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sluice/consent"
	"sluice/server/config"
)

// tokenKeyFile holds the token keys that Sluice drew itself, base64, one a
// line; the first signs, all verify.
const tokenKeyFile = "keys/token.key"

// clientKeyFile holds the key that derives client ids for Google Analytics
// from visitor ids. Losing it makes every visitor a new one there.
const clientKeyFile = "keys/client.key"

// phoneKeyFile holds the key under which phone numbers are kept. Without it those
// who were asked, and those who said STOP, are unknown.
const phoneKeyFile = "keys/phone.key"

// forgetContacts is how to go on where the key is lost.
const forgetContacts = "to start over, a backup restored with --new-keys, and without keys/phone.key, forgets them: then nobody may be written to"

// phoneKey returns the configured key, else the one in dataDir, else one that is
// drawn now; never a new one where contacts are kept under an older.
func phoneKey(configured config.Secret, dataDir string, contacts int) ([]byte, error) {
	if configured != "" {
		return config.DecodeKey(configured)
	}
	path := filepath.Join(dataDir, phoneKeyFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && contacts > 0 {
		return nil, fmt.Errorf("%s is missing, but the grants and objections of %d phone numbers and e-mail addresses are kept under it: "+
			"restore the file from a backup, or set keys.phone to the key that was in use; %s", path, contacts, forgetContacts)
	}
	return drawnKey(dataDir, phoneKeyFile)
}

// tokenKeys returns the keys that sign and verify tokens: the configured ones,
// else those in dataDir, else one that is drawn now. proven says that receipts
// exist: then a new key would turn every proof into a forgery, so a missing
// one is an error that says what to do.
func tokenKeys(configured []config.Secret, dataDir string, proven bool) (*consent.Keys, error) {
	if len(configured) > 0 {
		return parseKeys("keys.token", configured)
	}
	path := filepath.Join(dataDir, tokenKeyFile)
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := checkMode(path); err != nil {
			return nil, err
		}
		var secrets []config.Secret
		for _, line := range strings.Fields(string(data)) {
			secrets = append(secrets, config.Secret(line))
		}
		return parseKeys(path, secrets)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read token keys: %w", err)
	case proven:
		return nil, fmt.Errorf("%s is missing, but consent receipts exist: a new key would make every visitor's token worthless. "+
			"Restore the file from a backup, or set keys.token to the key that was in use; "+
			"to start over and ask every visitor again, move %s away", path, dataDir)
	}
	key, err := drawKey(path)
	if err != nil {
		return nil, err
	}
	return consent.NewKeys(key)
}

// drawnKey returns the key that the file in dataDir holds, drawn at the first
// start.
func drawnKey(dataDir, file string) ([]byte, error) {
	path := filepath.Join(dataDir, file)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return drawKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if err := checkMode(path); err != nil {
		return nil, err
	}
	key, err := config.DecodeKey(config.Secret(data))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("%s does not hold base64 of 32 bytes; restore it from a backup, or move it away to have one drawn", path)
	}
	return key, nil
}

func drawKey(path string) ([]byte, error) {
	key := make([]byte, 32)
	rand.Read(key) // never fails (crypto/rand)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("draw key: %w", err)
	}
	if err := consent.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("draw key: %w", err)
	}
	return key, nil
}

func parseKeys(where string, secrets []config.Secret) (*consent.Keys, error) {
	keys := make([][]byte, len(secrets))
	for i, s := range secrets {
		b, err := config.DecodeKey(s)
		if err != nil {
			return nil, fmt.Errorf("%s, key %d: %w", where, i+1, err)
		}
		keys[i] = b
	}
	k, err := consent.NewKeys(keys...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	return k, nil
}

// checkMode refuses a key that others on the machine may read.
func checkMode(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("check key file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s can be read by others (mode %04o); run: chmod 600 %s", path, mode, path)
	}
	return nil
}
