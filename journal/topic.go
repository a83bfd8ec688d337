package journal

// Topic is one log of the journal. Order is promised inside one partition of one
// topic, which is to say for one key.
type Topic string

const (
	TopicRegistry  Topic = "signalbox.registry"  // one partition; every change of configuration
	TopicLedger    Topic = "signalbox.ledger"    // by tenant, and SharedKey; the money
	TopicSnapshots Topic = "signalbox.snapshots" // by partition; the books, in chunks; compacted
	TopicDecisions Topic = "signalbox.decisions" // by tenant; every decision with its facts
	TopicNames     Topic = "signalbox.names"     // by tenant; pseudonym to readable name; compacted
	TopicTraces    Topic = "signalbox.traces"    // by tenant; captured prompts and responses
	TopicHealth    Topic = "signalbox.health"    // one partition; deployments that are out, for an hour
)

// Topics lists all of them, in the order in which they are made.
func Topics() []Topic {
	return []Topic{TopicRegistry, TopicLedger, TopicSnapshots, TopicDecisions, TopicNames, TopicTraces, TopicHealth}
}

// SharedKey is the ledger key of meters that several tenants share: deployment
// capacity and global budgets. No tenant can have this name: names hold no '*'.
const SharedKey = "*"
