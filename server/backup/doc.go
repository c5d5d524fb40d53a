// Package backup is the file that a backup is: how it is written, encrypted,
// kept and read back. What belongs into it is the server's business.
//
// [Create] writes an archive, [Extract] reads one and checks all of it; a
// [Place] is a folder or a bucket that keeps archives.
//
// # The file
//
//	sluice-20261123T224501Z.tar.zst        named by the moment it was begun, UTC
//	sluice-20261123T224501Z.tar.zst.age    encrypted
//
// It is a tar, compressed by zstd, encrypted by age where there are recipients:
// `age -d -i key.txt FILE | zstd -d | tar t` reads it without Sluice.
//
//	format          "sluice backup 1\n", always first
//	…               whatever was added, in that order
//	manifest.json   always last: every file before it with size and SHA-256
//
// # Why
//
// The manifest is last, so that an archive is written in one pass and a cut-off
// one has none. A file reaches its name, and an object its key, only when it is
// whole: a folder's file is renamed into place, a bucket's upload completed.
//
// age, because a machine that makes backups should not be able to read them.
//
// The three calls of S3 that this takes are signed here, in a hundred lines
// that are tested against Amazon's own examples: the libraries that do it bring
// dozens of modules.
package backup
