package backup

import (
	"encoding/binary"
	"errors"
)

// Record is a record of the spool in an archive.
type Record struct {
	Seq  uint64
	Kind uint8
	Data []byte
}

// recordHead is seq u64, kind u8, length of the data u32, big endian; the data
// follows.
const recordHead = 8 + 1 + 4

// AppendRecord appends the encoding of r.
func AppendRecord(dst []byte, r Record) []byte {
	dst = binary.BigEndian.AppendUint64(dst, r.Seq)
	dst = append(dst, r.Kind)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(r.Data)))
	return append(dst, r.Data...)
}

var errRecord = errors.New("a record is cut short")

// TakeRecord takes the first record off b, whose bytes it shares.
func TakeRecord(b []byte) (r Record, rest []byte, err error) {
	if len(b) < recordHead {
		return Record{}, nil, errRecord
	}
	r = Record{Seq: binary.BigEndian.Uint64(b), Kind: b[8]}
	n, rest := binary.BigEndian.Uint32(b[9:]), b[recordHead:]
	if uint64(n) > uint64(len(rest)) {
		return Record{}, nil, errRecord
	}
	r.Data = rest[:n:n]
	return r, rest[n:], nil
}
