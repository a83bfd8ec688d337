package whole_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/rig"
)

// registryFile is the registry file of one box, and the command that applies it.
type registryFile struct {
	box  *rig.Box
	file string
}

func newRegistryFile(t *testing.T, box *rig.Box) *registryFile {
	return &registryFile{box, filepath.Join(t.TempDir(), "registry.yaml")}
}

func (r *registryFile) apply(t *testing.T, world string, flags ...string) rig.Done {
	t.Helper()
	if err := os.WriteFile(r.file, []byte(world), 0o644); err != nil {
		t.Fatal(err)
	}
	done, err := r.box.Command(ctx(t), append([]string{"apply", "-f", r.file}, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func (r *registryFile) must(t *testing.T, world string, flags ...string) {
	t.Helper()
	if done := r.apply(t, world, flags...); done.Exit != 0 {
		t.Fatalf("apply %v: exit %d: %s", flags, done.Exit, done.Stderr)
	}
}

// limits is what `signalbox budgets` says of each budget: limit and spent.
func (r *registryFile) limits(t *testing.T) map[string]string {
	t.Helper()
	rows, err := r.box.Budgets(ctx(t), "")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, b := range rows {
		out[b.Budget] = b.Limit + " " + b.Spent
	}
	return out
}

func globexMonth(amount, window string) string {
	return people + "budgets:\n  - {name: month, match: {tenant: globex}, unit: usd, amount: \"" + amount + "\", window: " + window + "}\n"
}

// A file that is wrong changes nothing, and each fault is said where an editor
// finds it.
func TestApplyRefusesAFileThatIsWrong(t *testing.T) {
	box := start(t, "", "analytics: {disabled: true}\n")
	r := newRegistryFile(t, box)
	wrong := people + `budgets:
  - {name: a, match: {tenant: nobody}, unit: usd, amount: "5", window: total}
  - {name: b, match: {tenant: globex}, unit: usd, amount: "five", window: total}
  - {name: c, match: {tenant: globex}, unit: usd, amount: "5", window: {every: month, zone: Europe/Atlantis}}
  - {name: d, match: {tenant: globex}, unit: usd, amuont: "5", window: total}
`
	first := strings.Count(people, "\n") + 2
	done := r.apply(t, wrong, "--yes")
	if done.Exit != 1 {
		t.Errorf("exit %d; want 1", done.Exit)
	}
	place := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(r.file) + `:(\d+):(\d+): `)
	lines := map[string]bool{}
	for _, at := range place.FindAllStringSubmatch(done.Stderr, -1) {
		lines[at[1]] = true
	}
	for i := range 4 {
		if line := strconv.Itoa(first + i); !lines[line] {
			t.Errorf("nothing is said of line %s:\n%s", line, done.Stderr)
		}
	}
	for _, want := range []string{"nobody", "five", "Europe/Atlantis", "amuont"} {
		if !strings.Contains(done.Stderr, want) {
			t.Errorf("it does not name %s:\n%s", want, done.Stderr)
		}
	}
	for name, world := range map[string]string{"empty": "", "not YAML": "tenants: [", "no such key": "tenantz: []\n", "a nil document": "---\n"} {
		if done := r.apply(t, world, "--yes"); done.Exit != 1 || strings.TrimSpace(done.Stderr) == "" {
			t.Errorf("%s: exit %d %q", name, done.Exit, done.Stderr)
		}
	}
	if done, err := box.Command(ctx(t), "apply", "-f", "/nowhere/registry.yaml"); err != nil || done.Exit != 1 || !strings.Contains(done.Stderr, "/nowhere/registry.yaml") {
		t.Errorf("a file that is not there: %v %+v", err, done)
	}
	if done, err := box.Command(ctx(t), "apply"); err != nil || done.Exit != 2 || !strings.Contains(done.Stderr, "-f") {
		t.Errorf("no file named: %v %+v; want exit 2", err, done)
	}
	if _, body, err := box.Ready(ctx(t)); err != nil || !strings.Contains(body, "registry: empty") {
		t.Errorf("the registry is not empty any more: %v %s", err, body)
	}
}

// What a file changes is shown before it is done, and what is lost by it is asked.
func TestApplyShowsAndAsks(t *testing.T) {
	box := start(t, "", "analytics: {disabled: true}\n")
	r := newRegistryFile(t, box)
	world := globexMonth("5", "total")

	if done := r.apply(t, world, "--dry-run", "--exit-code"); done.Exit != 1 || !strings.Contains(done.Stdout, "+ budget globex/month") || !strings.Contains(done.Stdout, "dry run") {
		t.Errorf("--dry-run --exit-code: %+v", done)
	}
	if got := r.limits(t); len(got) != 0 {
		t.Errorf("--dry-run left %v behind", got)
	}
	r.must(t, world)
	if done := r.apply(t, world, "--dry-run", "--exit-code"); done.Exit != 0 {
		t.Errorf("the file is in force, and --exit-code says %+v", done)
	}
	secret := key(t, box, "globex/notebook")
	if _, err := box.Settle(ctx(t), completed(open(t, box, secret, ""), 20, 30)); err != nil {
		t.Fatal(err)
	}
	balanced(t, box, "month", 350_000)

	r.must(t, globexMonth("6", "total"))
	if got := r.limits(t)["month"]; got != "6 0.00035" {
		t.Errorf("a new amount: limit and spent are %q; want what is spent to stay", got)
	}
	monthly := globexMonth("6", "{every: month, zone: UTC}")
	if done := r.apply(t, monthly); done.Exit != 1 || !strings.Contains(done.Stderr, "--yes") || !strings.Contains(done.Stderr, "month") {
		t.Errorf("a new window, without a yes: %+v", done)
	}
	if got := r.limits(t)["month"]; got != "6 0.00035" {
		t.Errorf("without a yes the budget became %q", got)
	}
	r.must(t, monthly, "--yes")
	if got := r.limits(t)["month"]; got != "6 0" {
		t.Errorf("a new window: limit and spent are %q; want it to begin anew", got)
	}

	r.must(t, people)
	if got := r.limits(t)["month"]; got != "6 0" {
		t.Errorf("without --prune a budget that is not named became %q", got)
	}
	if done := r.apply(t, people, "--prune"); done.Exit != 1 || !strings.Contains(done.Stderr, "- budget globex/month") || !strings.Contains(done.Stderr, "--yes") {
		t.Errorf("--prune without a yes: %+v", done)
	}
	r.must(t, people, "--prune", "--yes")
	if got := r.limits(t); len(got) != 0 {
		t.Errorf("--prune --yes left %v", got)
	}
	open(t, box, secret, "")
}

// A kill switch stops the next call, however many are going out.
func TestKillSwitch(t *testing.T) {
	disarmed := people + `budgets:
  - {name: month, match: {tenant: globex}, unit: usd, amount: "5000", window: total}
  - {name: stop, match: {tenant: globex, app: notebook}, unit: requests, amount: "0", window: total, mode: shadow}
`
	box := start(t, disarmed, "analytics: {disabled: true}\n")
	r := newRegistryFile(t, box)
	secret := key(t, box, "globex/notebook")
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for {
				a, err := box.Chat(ctx(t), secret, hello, nil)
				if err == nil && a.Denied() == "" {
					continue
				}
				if err != nil || a.Denied() != "killed" {
					t.Errorf("%v %+v", err, a)
				}
				return
			}
		})
	}
	open(t, box, secret, "")
	r.must(t, strings.Replace(disarmed, ", mode: shadow", "", 1))
	a, err := box.Chat(ctx(t), secret, hello, nil)
	if err != nil || a.Denied() != "killed" || a.Response.Status != 403 {
		t.Errorf("the first call after apply came back: %v %+v", err, a)
	}
	callers.Wait()
	r.must(t, disarmed)
	open(t, box, secret, "")
}
