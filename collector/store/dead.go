package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
)

// DeadLetter is a record that no table takes, with the reason. It is a line of
// data_dir/dead/clickhouse.jsonl.
type DeadLetter struct {
	Time   time.Time `json:"ts"`
	Spool  uuid.UUID `json:"spool_id"`
	Seq    uint64    `json:"seq"`
	Kind   string    `json:"kind"`
	Reason string    `json:"reason"`
	Data   []byte    `json:"data"` // the record's bytes, base64
}

// deadLetters appends to the file. A record may be written twice where the
// process dies in between; spool_id and seq tell.
type deadLetters struct {
	dir string
	mu  sync.Mutex
}

// write returns once all letters are on disk.
func (d *deadLetters) write(letters []DeadLetter) (err error) {
	if len(letters) == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return fmt.Errorf("make the dead-letter folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(d.dir, "clickhouse.jsonl"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the dead-letter file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var lines []byte
	for _, l := range letters {
		line, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("encode dead letter %d: %w", l.Seq, err)
		}
		lines = append(append(lines, line...), '\n')
	}
	if _, err := f.Write(lines); err != nil {
		return fmt.Errorf("write dead letters: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write dead letters: %w", err)
	}
	return nil
}
