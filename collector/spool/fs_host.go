//go:build !failpoints

package spool

// hostDisk is the operating system's.
func hostDisk(dir string) disk { return osDisk{dir} }
