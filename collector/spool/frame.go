package spool

import (
	"encoding/binary"
	"hash/crc32"
)

// Kind says what a record holds. The spool itself treats all alike.
type Kind uint8

// The kinds of records, in the order in which they were numbered for good.
const (
	KindEvent Kind = iota + 1
	KindReceipt
	KindWithdrawal
	KindTombstone
	KindCounter
	KindForward
	KindContact
)

// Record is one committed record. Whether Data may be kept is said where the
// record is handed out.
type Record struct {
	Seq  uint64
	Kind Kind
	Data []byte
}

const (
	frameMagic  = 0x534c4652 // "SLFR"
	frameHead   = 32
	recordHead  = 8
	frameAlign  = 8
	footerBytes = frameHead + 8
)

// Limits of one frame. The first two are soft: they end a frame between two
// appends. The last two are hard.
const (
	maxFrameRecords  = 1024
	maxFramePayload  = 1 << 20
	maxAppendPayload = 8 << 20
	maxPayload       = maxFramePayload + maxAppendPayload
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is one that was found valid.
type frame struct {
	first   uint64
	count   uint32
	payload []byte // count records; its own offset in a footer
	size    int64  // on disk, with head and padding
	salt    uint64
}

func (f frame) footer() bool { return f.count == 0 }

// next is the seq after the frame's last record.
func (f frame) next() uint64 { return f.first + uint64(f.count) }

// appendRecordHead leaves room for a record's head; setRecordHead fills it once
// the data behind it is known.
func appendRecordHead(dst []byte) []byte { return append(dst, make([]byte, recordHead)...) }

func setRecordHead(record []byte, kind Kind) {
	binary.BigEndian.PutUint32(record, uint32(len(record)-recordHead))
	record[4] = byte(kind)
}

// sealFrame pads b, which is frameHead bytes of room and a payload, and fills
// in the head.
func sealFrame(b []byte, count uint32, first, salt uint64) []byte {
	payload := len(b) - frameHead
	for len(b)%frameAlign != 0 {
		b = append(b, 0)
	}
	be := binary.BigEndian
	be.PutUint32(b[0:], frameMagic)
	be.PutUint32(b[4:], uint32(payload))
	be.PutUint32(b[8:], count)
	be.PutUint64(b[16:], first)
	be.PutUint64(b[24:], salt)
	be.PutUint32(b[12:], frameSum(b))
	return b
}

// footerAt is the frame that says: the segment ends here, on purpose.
func footerAt(offset int64, next, salt uint64) []byte {
	b := make([]byte, frameHead, footerBytes)
	return sealFrame(binary.BigEndian.AppendUint64(b, uint64(offset)), 0, next, salt)
}

func frameSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[16:])
}

// frameSize tells how long the frame is whose head opens b, and whether it
// looks like one at all. b holds at least frameHead bytes.
func frameSize(b []byte) (int64, bool) {
	payload := binary.BigEndian.Uint32(b[4:])
	if binary.BigEndian.Uint32(b) != frameMagic || payload > maxPayload {
		return 0, false
	}
	return frameHead + (int64(payload)+frameAlign-1)/frameAlign*frameAlign, true
}

// parseFrame returns the frame that b begins with; anything but a whole and
// valid one is none. The payload is part of b. The salt is left for the caller
// to compare.
func parseFrame(b []byte) (f frame, ok bool) {
	if len(b) < frameHead {
		return frame{}, false
	}
	size, ok := frameSize(b)
	if !ok || size > int64(len(b)) {
		return frame{}, false
	}
	b = b[:size]
	be := binary.BigEndian
	if frameSum(b) != be.Uint32(b[12:]) {
		return frame{}, false
	}
	f = frame{
		first:   be.Uint64(b[16:]),
		count:   be.Uint32(b[8:]),
		payload: b[frameHead : frameHead+be.Uint32(b[4:])],
		size:    size,
		salt:    be.Uint64(b[24:]),
	}
	if f.next() < f.first {
		return frame{}, false
	}
	if f.footer() {
		return f, len(f.payload) == 8
	}
	return f, holdsRecords(f.payload, f.count)
}

// holdsRecords says whether the payload is exactly count records, so that
// nobody has to check again while taking them out.
func holdsRecords(payload []byte, count uint32) bool {
	for ; count > 0; count-- {
		if len(payload) < recordHead || payload[5] != 0 || payload[6] != 0 || payload[7] != 0 {
			return false
		}
		n := uint64(binary.BigEndian.Uint32(payload))
		if n > uint64(len(payload)-recordHead) {
			return false
		}
		payload = payload[recordHead+n:]
	}
	return len(payload) == 0
}

// takeRecord takes the first record off a checked payload.
func takeRecord(payload []byte, seq uint64) (r Record, rest []byte) {
	end := recordHead + int(binary.BigEndian.Uint32(payload))
	return Record{Seq: seq, Kind: Kind(payload[4]), Data: payload[recordHead:end:end]}, payload[end:]
}
