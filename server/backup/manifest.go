package backup

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Format is the version of the archive that this package writes and reads.
const Format = 1

// Manifest describes an archive. It names no site, no host and no secret.
type Manifest struct {
	Format  int       `json:"format"`
	Version string    `json:"version"` // of the Sluice that wrote it
	Commit  string    `json:"commit"`
	Layout  int       `json:"layout"` // of the data directory
	Made    time.Time `json:"made"`   // when it was begun; what came later may be missing

	Spool Spool `json:"spool"`
	Chain Chain `json:"chain"`

	// Tables says where the rows are: TablesHere or TablesElsewhere.
	Tables string            `json:"tables"`
	Rows   map[string]uint64 `json:"rows,omitempty"` // by table, at least, without those made from records from Spool.First on
	Keys   bool              `json:"keys"`           // whether the keys are in it

	Files []File `json:"files"`
}

// Where an archive's rows are.
const (
	TablesHere      = "here"
	TablesElsewhere = "elsewhere" // in a ClickHouse server, with backups of its own
)

// Spool says which records the archive holds.
type Spool struct {
	ID uuid.UUID `json:"id"`
	// First is the first record that was not known to be stored, TakeBack the
	// first whose withdrawal or erasure was not known to be carried out on the
	// rows, Last the last one of all.
	First    uint64 `json:"first"`
	TakeBack uint64 `json:"take_back"`
	Last     uint64 `json:"last"`
}

// Chain is the end of the ledger as of record Spool.Last.
type Chain struct {
	ID   uuid.UUID `json:"id"`
	N    uint64    `json:"n"`
	Hash string    `json:"hash"`
}

// File is one file of an archive.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // hex
}

// DamagedError is an archive that is not what was written.
type DamagedError struct {
	Name    string // of the file in the archive; "" for the archive as a whole
	Problem string
}

func (e *DamagedError) Error() string {
	if e.Name == "" {
		return "the archive is damaged: " + e.Problem
	}
	return fmt.Sprintf("the archive is damaged: %s %s", e.Name, e.Problem)
}
