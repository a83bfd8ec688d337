package ledger

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"sync"
	"time"
)

// zoneArchive is the IANA time zone database as the Go distribution packs it.
// It is a file of ours and not package time/tzdata, because time.LoadLocation
// looks at ZONEINFO and at the system's files first: a label is the name of a
// meter, so two replicas with two sets of rules would spend one budget twice.
//
//go:embed zoneinfo.zip
var zoneArchive []byte

// zoneRules is the IANA release in zoneArchive.
const zoneRules = "2025c"

// zoneBytesMost bounds one zone's file; the largest has under 4 kB.
const zoneBytesMost = 64 << 10

// ZoneRules is the version of the time zone rules that are compiled in.
func ZoneRules() string { return zoneRules }

// loaded caches the zones that were read from zoneArchive, which never changes.
// It holds names that are in the archive and no others, so it is bounded.
var loaded sync.Map // string → *time.Location

// archive opens the embedded database once.
var archive = sync.OnceValues(func() (map[string]*zip.File, error) {
	r, err := zip.NewReader(bytes.NewReader(zoneArchive), int64(len(zoneArchive)))
	if err != nil {
		return nil, fmt.Errorf("read the compiled-in time zones: %w", err)
	}
	files := make(map[string]*zip.File, len(r.File))
	for _, f := range r.File {
		files[f.Name] = f
	}
	return files, nil
})

// Zone is the zone of an IANA name by the compiled-in rules; "" is UTC.
func Zone(name string) (*time.Location, error) {
	if name == "" || name == "UTC" {
		return time.UTC, nil
	}
	if zone, ok := loaded.Load(name); ok {
		return zone.(*time.Location), nil
	}
	files, err := archive()
	if err != nil {
		return nil, err
	}
	f, ok := files[name]
	if !ok || f.FileInfo().IsDir() {
		return nil, fmt.Errorf("time zone %q is not in the time zone database %s", name, zoneRules)
	}
	data, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("read time zone %q: %w", name, err)
	}
	defer data.Close()
	raw, err := io.ReadAll(io.LimitReader(data, zoneBytesMost))
	if err != nil {
		return nil, fmt.Errorf("read time zone %q: %w", name, err)
	}
	zone, err := time.LoadLocationFromTZData(name, raw)
	if err != nil {
		return nil, fmt.Errorf("read time zone %q: %w", name, err)
	}
	loaded.Store(name, zone)
	return zone, nil
}
