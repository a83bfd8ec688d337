// Package spool is the file between an answer and the journal. Put returns when a
// fact is on disk; Run sends what is there to the journal, in order, for as long
// as that takes. When it is full it says so before anything is lost.
//
// It refuses to reorder, to merge and to drop. It may send a record twice, always
// under the same origin: the epoch that put it and its number there, so readers
// drop what they have seen.
//
// Start at spool.go (Put), then forward.go (Run). segment.go is the file format,
// recover.go what a start makes of the files a dead process left, place.go how the
// spool remembers what was sent.
package spool
