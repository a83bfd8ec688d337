package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/signalbox-dev/signalbox/journal"
)

// messageMaxBytes is the largest batch that the producer builds. A topic that
// takes less would refuse a batch that no retry could make smaller.
const messageMaxBytes = 1_000_000

const forever time.Duration = -1

// retentions are how long the topics keep what is not compacted.
var retentions = map[journal.Topic]time.Duration{
	journal.TopicRegistry:  forever,
	journal.TopicLedger:    7 * 24 * time.Hour, // never shorter than two agreed snapshots
	journal.TopicDecisions: 30 * 24 * time.Hour,
	journal.TopicTraces:    3 * 24 * time.Hour,
	journal.TopicHealth:    time.Hour, // no pause and no trial lasts longer than ten minutes
}

// retentionsLeast are what correctness needs: the registry is folded from its
// first entry, and the books are mended from the ledger and the decisions.
var retentionsLeast = map[journal.Topic]time.Duration{
	journal.TopicRegistry:  forever,
	journal.TopicLedger:    7 * 24 * time.Hour,
	journal.TopicDecisions: 7 * 24 * time.Hour,
}

// layout is how the topics are to stand.
type layout struct {
	partitions int32
	retention  map[journal.Topic]time.Duration
}

func newLayout(partitions int32, over map[journal.Topic]time.Duration) (layout, error) {
	l := layout{partitions: partitions, retention: maps.Clone(retentions)}
	for topic, d := range over {
		if _, ok := retentions[topic]; !ok {
			return layout{}, fmt.Errorf("retention: %s is not a topic whose retention can be set", topic)
		}
		if least := retentionsLeast[topic]; shorter(d, least) {
			return layout{}, fmt.Errorf("retention: %s must be kept at least %s, not %s", topic, spoken(least), spoken(d))
		}
		l.retention[topic] = d
	}
	return l, nil
}

func (l layout) partitionsOf(topic journal.Topic) int32 {
	if topic.Single() {
		return 1
	}
	return l.partitions
}

// configs are said in full and never left to a broker's defaults.
func (l layout) configs(topic journal.Topic, brokers int) map[string]*string {
	c := map[string]string{
		"message.timestamp.type": "LogAppendTime",
		"max.message.bytes":      "1048588",
		"retention.bytes":        "-1",
	}
	if topic.Compacted() {
		c["cleanup.policy"] = "compact"
	} else {
		c["cleanup.policy"] = "delete"
		c["retention.ms"] = millis(l.retention[topic])
	}
	if brokers >= 3 {
		c["min.insync.replicas"] = "2"
	}
	p := map[string]*string{}
	for k, v := range c {
		p[k] = kadm.StringPtr(v)
	}
	return p
}

// make creates the topics that are not there.
func (l layout) make(ctx context.Context, adm *kadm.Client) error {
	meta, err := adm.BrokerMetadata(ctx)
	if err != nil {
		return fmt.Errorf("list brokers: %w", err)
	}
	replicas := int16(1)
	if len(meta.Brokers) >= 3 {
		replicas = 3
	}
	for _, topic := range journal.Topics() {
		_, err := adm.CreateTopic(ctx, l.partitionsOf(topic), replicas, l.configs(topic, len(meta.Brokers)), string(topic))
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", topic, err)
		}
	}
	return nil
}

// check compares what stands with what is needed. Its answer is one error that
// lists every difference, because they are mended by one person in one sitting.
func (l layout) check(ctx context.Context, adm *kadm.Client) (map[journal.Topic]kadm.TopicID, error) {
	names := make([]string, 0, len(journal.Topics()))
	for _, t := range journal.Topics() {
		names = append(names, string(t))
	}
	details, err := adm.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	described, err := adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("describe topics: %w", err)
	}
	ids := map[journal.Topic]kadm.TopicID{}
	var wrong []error
	missing := 0
	for _, topic := range journal.Topics() {
		d := details[string(topic)]
		switch want := l.partitionsOf(topic); {
		case errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			missing++
			wrong = append(wrong, fmt.Errorf("topic %s does not exist: create it with %d partitions, or allow it with journal.create_topics", topic, want))
			continue
		case d.Err != nil:
			return nil, fmt.Errorf("look at topic %s: %w", topic, d.Err)
		case int32(len(d.Partitions)) != want:
			wrong = append(wrong, fmt.Errorf("topic %s has %d partitions and this program is set to %d: the count decides where a tenant's money is and can never change", topic, len(d.Partitions), want))
		}
		ids[topic] = d.ID
		c, err := described.On(string(topic), nil)
		if err != nil || c.Err != nil {
			return nil, fmt.Errorf("read the settings of topic %s: %w", topic, errors.Join(err, c.Err))
		}
		wrong = append(wrong, checkConfigs(topic, c.Configs)...)
	}
	if len(wrong) > 0 {
		return nil, &TopicsError{Problems: wrong, missing: missing == len(wrong)}
	}
	return ids, nil
}

// TopicsError lists everything about the topics that an operator has to mend.
type TopicsError struct {
	Problems []error
	missing  bool // and nothing else: a topic just made may not be known everywhere yet
}

func (e *TopicsError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Error()
	}
	return "the journal's topics cannot be used: " + strings.Join(lines, "; ")
}

func checkConfigs(topic journal.Topic, configs []kadm.Config) (wrong []error) {
	value := map[string]string{}
	for _, c := range configs {
		if c.Value != nil {
			value[c.Key] = *c.Value
		}
	}
	want := func(ok bool, key, what string) {
		// A setting that the broker does not tell (Event Hubs tells few) cannot be judged.
		if got, told := value[key]; told && !ok {
			wrong = append(wrong, fmt.Errorf("topic %s has %s=%s: it must be %s", topic, key, got, what))
		}
	}
	want(value["message.timestamp.type"] == "LogAppendTime", "message.timestamp.type", "LogAppendTime")
	most, _ := strconv.Atoi(value["max.message.bytes"])
	want(most >= messageMaxBytes, "max.message.bytes", fmt.Sprintf("at least %d", messageMaxBytes))
	policy := strings.Split(value["cleanup.policy"], ",")
	if topic.Compacted() {
		want(slices.Equal(policy, []string{"compact"}), "cleanup.policy", "compact")
		return wrong
	}
	want(slices.Equal(policy, []string{"delete"}), "cleanup.policy", "delete")
	if least, ok := retentionsLeast[topic]; ok {
		ms, err := strconv.ParseInt(value["retention.ms"], 10, 64)
		kept := min(ms, int64(1<<62/time.Millisecond))
		want(err == nil && !shorter(time.Duration(kept)*time.Millisecond, least), "retention.ms", "at least "+millis(least))
		want(value["retention.bytes"] == "-1", "retention.bytes", "-1, so that age alone decides")
	}
	return wrong
}

// shorter compares retentions, in which a negative one is for ever.
func shorter(d, than time.Duration) bool {
	return d >= 0 && (than < 0 || d < than)
}

func spoken(d time.Duration) string {
	if d < 0 {
		return "for ever"
	}
	return d.String()
}

func millis(d time.Duration) string {
	if d < 0 {
		return "-1"
	}
	return strconv.FormatInt(d.Milliseconds(), 10)
}
