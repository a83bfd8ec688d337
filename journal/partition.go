package journal

import "fmt"

// PartitionFor is the partition of a key among n. It is FNV-1a, folded: our own,
// so that no client library's default, and no change of one, can move a tenant's
// money to another partition. The result must never change.
func PartitionFor(key string, n int32) int32 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * prime
	}
	return int32((h ^ h>>32) & 0x7fffffff % uint64(n))
}

// Compacted reports whether a later record of the same key and name replaces an
// earlier one on this topic. Only there may an entry's Event be nil, and only
// there are offsets missing between entries as a matter of course.
func (t Topic) Compacted() bool { return t == TopicSnapshots || t == TopicNames }

// Single reports whether the topic has one partition, whatever the others have.
func (t Topic) Single() bool { return t == TopicRegistry || t == TopicSnapshots || t == TopicHealth }

// GapError says that a log does not hold what a reader needs next. A reader that
// went on from elsewhere would fold books that differ from everyone else's.
type GapError struct {
	Topic     Topic
	Partition int32
	Want      int64 // the offset that was to be read
	Have      int64 // the offset that came instead; -1 when nothing did
	Start     int64 // first offset kept, -1 when unknown
	End       int64 // next offset to be written, -1 when unknown
}

func (e *GapError) Error() string {
	where := fmt.Sprintf("%s partition %d: ", e.Topic, e.Partition)
	switch {
	case e.Have >= 0:
		return where + fmt.Sprintf("after offset %d came %d: entries between them are missing, so what follows cannot be trusted", e.Want-1, e.Have)
	case e.End >= 0 && e.Want > e.End:
		return where + fmt.Sprintf("offset %d was read before, but the log now ends at %d: it is another log, or it lost its end", e.Want, e.End)
	case e.Start >= 0:
		return where + fmt.Sprintf("offset %d is needed, but the log begins at %d: its retention is shorter than this reader was away", e.Want, e.Start)
	}
	return where + fmt.Sprintf("offset %d is not in the log", e.Want)
}
