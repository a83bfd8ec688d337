// Package kafka carries the journal over the Kafka protocol: to brokers, or to
// the in-process one that stands in when no brokers are configured. There is one
// code path; embedded.go only decides who answers the phone.
//
// It is the only importer of franz-go and of the generated journal messages. It
// refuses to skip: an entry that cannot be read whole comes out as
// journal.Unreadable, a missing one ends Follow with *journal.GapError, and no
// offset is ever reset. What an entry means is not its business.
//
// Start at journal.go (Open, Append), then follow.go. codec.go says what is in a
// record, topics.go how the topics are made and checked, producer.go what becomes
// of a failed write.
package kafka
