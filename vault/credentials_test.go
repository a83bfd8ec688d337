package vault_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signalbox-dev/signalbox/journal"
	"github.com/signalbox-dev/signalbox/registry"
	"github.com/signalbox-dev/signalbox/vault"
)

// secrets makes a folder of credentials that only we can enter.
func secrets(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "secrets")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		put(t, filepath.Join(dir, name), text)
	}
	return dir
}

func put(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string, env ...string) *vault.Credentials {
	t.Helper()
	c, err := vault.OpenCredentials(dir, env, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// reads compares what is there with what should be, name by name.
func reads(t *testing.T, c *vault.Credentials, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, name := range c.Names() {
		s, ok := c.Credential(name)
		if !ok || s.Empty() {
			t.Errorf("%s is named and not there", name)
		}
		got[name] = s.Reveal()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
}

func TestWhatAFileHolds(t *testing.T) {
	long := strings.Repeat("k", 64<<10)
	for name, c := range map[string]struct {
		text, want string // want: the credential, or what is said of the file
		bad        bool
	}{
		"a key":                        {planted, planted, false},
		"with a newline":               {planted + "\n", planted, false},
		"with a newline of Windows":    {planted + "\r\n", planted, false},
		"with empty lines":             {planted + "\n\n\n", planted, false},
		"with spaces and signs inside": {"user name=" + planted + ",x==", "user name=" + planted + ",x==", false},
		"as long as can be":            {long, long, false},
		"as long, and a newline":       {long + "\r\n", long, false},
		"too long":                     {long + "k", "is longer than 65536 bytes", true},
		"far too long":                 {strings.Repeat(long, 20), "is longer than 65536 bytes", true},
		"nothing":                      {"", "is empty", true},
		"nothing but a newline":        {"\n", "is empty", true},
		"two lines":                    {planted + "\n" + planted, "has several lines", true},
		"old Mac lines":                {planted + "\r" + planted, "has several lines", true},
		"a tab":                        {planted + "\t", "holds control characters", true},
		"a NUL":                        {planted + "\x00", "holds control characters", true},
		"an escape":                    {"\x1b[0m" + planted, "holds control characters", true},
		"another script":               {planted + "ü", "others that no header can carry", true},
		"no text":                      {"\x80\x81" + planted, "others that no header can carry", true},
		"a mark of Notepad":            {"\xef\xbb\xbf" + planted, "begins with a byte order mark", true},
		"UTF-16 of PowerShell":         {"\xff\xfes\x00k\x00", "begins with a byte order mark", true},
		"a space before":               {" " + planted, "begins or ends with a space", true},
		"a space behind":               {planted + " \n", "begins or ends with a space", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := secrets(t, map[string]string{"openai": c.text, "other": "sk-other"})
			cs := open(t, dir)
			problems := cs.Problems()
			if !c.bad {
				reads(t, cs, map[string]string{"openai": c.want, "other": "sk-other"})
				if len(problems) != 0 {
					t.Errorf("%v", problems)
				}
				return
			}
			reads(t, cs, map[string]string{"other": "sk-other"})
			if len(problems) != 1 || problems[0].Warning || problems[0].Where != filepath.Join(dir, "openai") || !strings.Contains(problems[0].What, c.want) || problems[0].Want == "" {
				t.Fatalf("%+v, want %q", problems, c.want)
			}
			if leaks(problems[0].String(), planted) || strings.Contains(problems[0].String(), "kkkk") {
				t.Errorf("the problem repeats the credential: %s", problems[0])
			}
		})
	}
}

func TestWhichFilesAreRead(t *testing.T) {
	dir := secrets(t, map[string]string{
		"openai": "sk-1", "azure-weu": "sk-2", "a.b_c-9": "sk-3", "4913": "sk-4", strings.Repeat("n", 63): "sk-5",
		".openai.swp": "x", ".hidden": "x", "openai~": "x", "#openai#": "x", // editors'
		"README.md": "x", "Openai": "x", "-openai": "x", "open ai": "x", strings.Repeat("n", 64): "x", // nobody's
	})
	elsewhere := filepath.Join(t.TempDir(), "real")
	put(t, elsewhere, "sk-linked")
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "folder"), 0o700), syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600),
		os.Symlink(elsewhere, filepath.Join(dir, "linked")), os.Symlink("nowhere", filepath.Join(dir, "dangling")), os.Symlink("loop", filepath.Join(dir, "loop")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c := open(t, dir)
	reads(t, c, map[string]string{"openai": "sk-1", "azure-weu": "sk-2", "a.b_c-9": "sk-3", "4913": "sk-4", strings.Repeat("n", 63): "sk-5", "linked": "sk-linked"})
	var said []string
	for _, p := range c.Problems() {
		what, _, _ := strings.Cut(p.What, ":")
		said = append(said, map[bool]string{true: "warning", false: "broken"}[p.Warning]+" "+filepath.Base(p.Where)+" "+what)
	}
	want := []string{
		"broken loop cannot be read (too many levels of symbolic links)",
		"warning -openai is not read", "warning Openai is not read", "warning README.md is not read",
		"warning dangling is a link that leads nowhere, and counts as removed",
		"warning folder is not read", "warning " + strings.Repeat("n", 64) + " is not read", "warning open ai is not read", "warning pipe is not read",
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("problems:\n%s", diff)
	}
}

// Credentials are called as the registry calls them: what it lets a provider name
// is a file that is read, and no other.
func TestNamesAreTheRegistrys(t *testing.T) {
	clock := func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }
	r, err := registry.Open(context.Background(), journal.NewMemory(1, clock), registry.NewKeyHasher([32]byte{1}), clock, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "0", "azure-weu", "a.b", "a_b", "a-", "a..b", strings.Repeat("a", 63), strings.Repeat("a", 64), "A", "aB", "-a", ".a", "_a", "a b", "a/b", "ä", "a\u00a0"} {
		text := "providers: [{name: p, kind: openai, base_url: \"https://p.example\", credential: \"" + name + "\"}]"
		_, err := r.Apply(context.Background(), []registry.File{{Name: "r.yaml", Data: []byte(text)}}, registry.ApplyOptions{DryRun: true})
		if got := vault.CredentialName(name); got != (err == nil) {
			t.Errorf("%q is a credential's name: %v; for the registry: %v", name, got, err)
		}
	}
}

func TestTheEnvironment(t *testing.T) {
	c := open(t, "", "PATH=/bin", "SIGNALBOX_CREDENTIALS_DIR=/x", "SIGNALBOX_CREDENTIAL_AZURE_WEU="+planted+"\n", "SIGNALBOX_CREDENTIAL_OPENAI=a=b", "SIGNALBOX_CREDENTIAL_OPENAI=second",
		"SIGNALBOX_CREDENTIAL_EMPTY=", "SIGNALBOX_CREDENTIAL_openai=x", "SIGNALBOX_CREDENTIAL_=x", "SIGNALBOX_CREDENTIAL__A=x", "SIGNALBOX_CREDENTIAL_A-B=x",
		"SIGNALBOX_CREDENTIAL_BROKEN="+planted+"\n"+planted, "SIGNALBOX_CREDENTIAL_BARE")
	reads(t, c, map[string]string{"azure_weu": planted, "openai": "a=b"})
	for _, name := range []string{"azure-weu", "azure.weu", "azure_weu"} {
		if s, ok := c.Credential(name); !ok || s.Reveal() != planted {
			t.Errorf("%s: %v", name, ok)
		}
	}
	for _, name := range []string{"", "AZURE_WEU", "AZURE-WEU", "azure", "azure weu", "empty", "broken", "azure-weu-"} {
		if _, ok := c.Credential(name); ok {
			t.Errorf("%q is there", name)
		}
	}
	var said []string
	for _, p := range c.Problems() {
		said = append(said, strings.TrimPrefix(p.Where, "SIGNALBOX_CREDENTIAL_")+" "+p.What)
		if leaks(p.String(), planted) {
			t.Errorf("repeated: %s", p)
		}
	}
	want := []string{" names no credential", "A-B names no credential", "BROKEN has several lines", "_A names no credential", "openai names no credential",
		"BARE is empty and counts as not set", "EMPTY is empty and counts as not set"}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("problems:\n%s", diff)
	}
	if s := c.Status(); s.Files != 0 || s.Environment != 2 || len(s.Problems) != len(want) {
		t.Errorf("%+v", s)
	}
}

// The file goes before the variable, and the variable is there when it is gone.
func TestFileAndVariable(t *testing.T) {
	dir := secrets(t, map[string]string{"azure-weu": "of-the-file"})
	c := open(t, dir, "SIGNALBOX_CREDENTIAL_AZURE_WEU=of-the-environment")
	reads(t, c, map[string]string{"azure-weu": "of-the-file"})
	p := c.Problems()
	if len(p) != 1 || !p[0].Warning || !strings.Contains(p[0].String(), "SIGNALBOX_CREDENTIAL_AZURE_WEU is not used while there is the file "+filepath.Join(dir, "azure-weu")) {
		t.Errorf("%v", p)
	}
	if err := os.Remove(filepath.Join(dir, "azure-weu")); err != nil {
		t.Fatal(err)
	}
	c.Look(func() {})
	reads(t, c, map[string]string{"azure_weu": "of-the-environment"})
	if p := c.Problems(); len(p) != 0 {
		t.Errorf("%v", p)
	}
}

func TestOpenFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // modes say nothing there
	}
	dir := secrets(t, map[string]string{"a": "x", "b": "x", "c": "x", "d": "x", "mine": "x"})
	for _, name := range []string{"a", "b", "c", "d"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if p := open(t, dir).Problems(); len(p) != 0 {
		t.Errorf("a folder that others cannot enter: %v", p)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c := open(t, dir)
	p := c.Problems()
	if len(p) != 1 || !p[0].Warning || p[0].Where != dir || !strings.Contains(p[0].What, "every user of this machine can read or change: a, b, c and 1 more") || !strings.Contains(p[0].Want, "defaultMode") {
		t.Errorf("%v", p)
	}
	if n := len(c.Names()); n != 5 {
		t.Errorf("%d are used", n)
	}
}

func TestFoldersThatAreNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a-file")
	put(t, file, planted)
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		_, err := vault.OpenCredentials(dir, nil, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), dir+" cannot be read (not a directory)") || !strings.Contains(err.Error(), "credentials.dir") {
			t.Errorf("%s: %v", dir, err)
		}
	}
	for _, dir := range []string{"", filepath.Join(t.TempDir(), "not", "yet")} {
		c := open(t, dir)
		reads(t, c, map[string]string{})
		if len(c.Problems()) != 0 {
			t.Errorf("%q: %v", dir, c.Problems())
		}
	}
}

func TestMoreFilesThanAreRead(t *testing.T) {
	dir := secrets(t, nil)
	for i := range 1001 {
		put(t, filepath.Join(dir, "n"+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676))), "sk")
	}
	for i := range 100 {
		put(t, filepath.Join(dir, "Nobody"+string(rune('a'+i%26))+string(rune('a'+i/26))), "x")
	}
	c := open(t, dir)
	p := c.Problems()
	if n := len(c.Names()); n != 1000 || len(p) != 21 || p[0].Warning || !strings.Contains(p[0].What, "more than 1000 files") {
		t.Errorf("%d credentials, %d problems, the first %+v", n, len(p), p[0])
	}
}

// A credential that is missing for a moment is not gone: programs that save by
// moving the old file away leave a gap.
func TestAGapIsNoRemoval(t *testing.T) {
	dir := secrets(t, map[string]string{"openai": "old"})
	c := open(t, dir)
	file := filepath.Join(dir, "openai")
	if err := os.Rename(file, file+"~"); err != nil {
		t.Fatal(err)
	}
	rested := 0
	c.Look(func() {
		rested++
		reads(t, c, map[string]string{"openai": "old"})
		put(t, file, "new")
	})
	reads(t, c, map[string]string{"openai": "new"})
	if rested != 1 {
		t.Errorf("waited %d times", rested)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	c.Look(func() { rested++ })
	reads(t, c, map[string]string{})
	if rested != 2 {
		t.Errorf("waited %d times", rested)
	}
}

// What cannot be used leaves the last that could, whatever is wrong with it, and
// it is said once. Only a removal removes.
func TestTheLastGoodStays(t *testing.T) {
	dir := secrets(t, map[string]string{"openai": planted, "other": "sk-other"})
	var out strings.Builder
	c, err := vault.OpenCredentials(dir, nil, slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "openai")
	broken := map[string]func() error{
		"is empty":          func() error { return os.Truncate(file, 0) },
		"has several lines": func() error { return os.WriteFile(file, []byte(planted+"\n"+planted), 0o600) },
		"cannot be read":    func() error { _ = os.Remove(file); return os.Symlink("openai", file) },
	}
	for _, what := range []string{"is empty", "has several lines", "cannot be read"} {
		if err := broken[what](); err != nil {
			t.Fatal(err)
		}
		out.Reset()
		c.Look(func() { t.Errorf("%s: waited, though nothing is missing", what) })
		c.Look(func() {})
		reads(t, c, map[string]string{"openai": planted, "other": "sk-other"})
		p := c.Problems()
		if len(p) != 1 || p[0].Warning || !strings.Contains(p[0].What, what) || !strings.HasSuffix(p[0].What, "the credential before it stays in use") {
			t.Errorf("%s: %v", what, p)
		}
		if n := strings.Count(out.String(), "\n"); n != 1 || !strings.Contains(out.String(), what) || leaks(out.String(), planted) {
			t.Errorf("%s: %d lines: %s", what, n, out.String())
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	put(t, file, "sk-mended")
	out.Reset()
	c.Look(func() {})
	reads(t, c, map[string]string{"openai": "sk-mended", "other": "sk-other"})
	if len(c.Problems()) != 0 || !strings.Contains(out.String(), "credential rotated") {
		t.Errorf("%v, %s", c.Problems(), out.String())
	}

	// The same of the folder: one that is no folder is not one without credentials.
	aside := dir + ".aside"
	if err := os.Rename(dir, aside); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "a file in its place")
	c.Look(func() { t.Error("waited, though nothing is known to be missing") })
	reads(t, c, map[string]string{"openai": "sk-mended", "other": "sk-other"})
	if p := c.Problems(); len(p) != 1 || p[0].Warning || p[0].Where != dir || !strings.Contains(p[0].What, "what was read before stays in use") {
		t.Errorf("%v", p)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	c.Look(func() {}) // gone for good: every credential was removed
	reads(t, c, map[string]string{})
	if s := c.Status(); s.Changes != 5 || len(s.Problems) != 0 { // two taken, one rotated, two removed
		t.Errorf("%+v", s)
	}
}

// Nothing that credentials log or show holds one.
func TestNothingPrintedHoldsACredential(t *testing.T) {
	const second = "sk-SECOND-91bd"
	dir := secrets(t, map[string]string{"good": planted, "bad": planted + "\n" + second, "README.md": planted})
	var out strings.Builder
	for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), slog.New(slog.NewJSONHandler(&out, nil))} {
		c, err := vault.OpenCredentials(dir, []string{"SIGNALBOX_CREDENTIAL_GOOD=" + second, "SIGNALBOX_CREDENTIAL_X=" + second, "SIGNALBOX_CREDENTIAL_Y=\x00" + second}, log)
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, "good"), second)
		c.Look(func() {})
		put(t, filepath.Join(dir, "good"), "")
		c.Look(func() {})
		if err := os.Remove(filepath.Join(dir, "good")); err != nil {
			t.Fatal(err)
		}
		c.Look(func() {})
		log.Info("all of it", "credentials", c, "status", c.Status())
		log.Info("printed", "credentials", slog.AnyValue(c).String())
		for _, p := range c.Problems() {
			out.WriteString(p.String())
		}
		put(t, filepath.Join(dir, "good"), planted)
	}
	if leaks(out.String(), planted, second) {
		t.Error(out.String())
	}
	for _, want := range []string{"credential taken", "credential rotated", "credential removed", "environment_used=true", "is empty", "has several lines", "README.md"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("never said %q", want)
		}
	}
}

func TestNamesAreSorted(t *testing.T) {
	c := open(t, secrets(t, map[string]string{"b": "1", "d": "1"}), "SIGNALBOX_CREDENTIAL_A=1", "SIGNALBOX_CREDENTIAL_C=1", "SIGNALBOX_CREDENTIAL_B=1")
	if got := c.Names(); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("%v", got)
	}
}

// FuzzCredential: whatever a file holds, it is a credential that a header can
// carry as it is, or it is none and nobody is told what it held.
func FuzzCredential(f *testing.F) {
	for _, seed := range []string{planted, planted + "\r\n", "", "\n\n", " a", "a\nb", "\xef\xbb\xbfa", "\xff\xfea\x00", "ü", "\x7f", strings.Repeat("a", 64<<10) + "\n"} {
		f.Add([]byte(seed))
	}
	dir := filepath.Join(f.TempDir(), "secrets")
	if err := os.Mkdir(dir, 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		put(t, filepath.Join(dir, "it"), string(data))
		c := open(t, dir)
		s, ok := c.Credential("it")
		if !ok {
			problems := c.Problems()
			if text := strings.TrimSpace(string(data)); len(problems) != 1 || len(text) > 8 && strings.Contains(problems[0].String(), text[:8]) {
				t.Fatalf("%v", problems)
			}
			return
		}
		value := s.Reveal()
		if strings.TrimRight(string(data), "\r\n") != value || value == "" || len(value) > 64<<10 || strings.TrimSpace(value) != value || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q was taken for a credential", value)
		}
	})
}
