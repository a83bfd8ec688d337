// Package watch says when a folder may have changed: a policy, or the providers'
// credentials, which people and programs replace while we run. It knows nothing of
// what is in there. Whoever asked reads the folder and finds out what is new; being
// told once too often costs a reading, and being told too seldom would keep a
// revoked credential in use.
//
// It refuses to trust events alone, and to wait for the folder to exist. It is the
// one importer of fsnotify.
//
// Start at watch.go.
package watch
