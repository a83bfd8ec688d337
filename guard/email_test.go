package guard_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/guard"
)

// found are the texts that a detector finds, in order.
func found(t interface{ Fatalf(string, ...any) }, d guard.Detector, text string) (all []string) {
	last := 0
	d.Find(text, func(f guard.Finding) {
		if f.Start < last || f.End <= f.Start || f.End > len(text) {
			t.Fatalf("%d to %d after %d in %q", f.Start, f.End, last, text)
		}
		if !slices.Contains(d.Kinds(), f.Kind) {
			t.Fatalf("%q is none of its kinds", f.Kind)
		}
		last = f.End
		all = append(all, text[f.Start:f.End])
	})
	return all
}

// What is found and what is not: the contract of the detector, line by line.
func TestEmail(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		// As they are written.
		{"bob@example.com", []string{"bob@example.com"}},
		{"Bob.Smith+orders@Mail.Example.CO.UK", []string{"Bob.Smith+orders@Mail.Example.CO.UK"}},
		{"o'brien_7-x%y@example.com", []string{"o'brien_7-x%y@example.com"}},
		{"a!b#c$d*e^f~g@example.com", []string{"a!b#c$d*e^f~g@example.com"}},
		{"1234567@qq.com", []string{"1234567@qq.com"}},
		{"müller@exämple.de, Ирина@пример.рф", []string{"müller@exämple.de", "Ирина@пример.рф"}},
		{"用户@例子.广告", []string{"用户@例子.广告"}},
		{"bob@xn--exmple-cua.xn--p1ai.", []string{"bob@xn--exmple-cua.xn--p1ai"}},
		{"x@a.b.c.d.example", []string{"x@a.b.c.d.example"}},
		// No address by the rules, and somebody's all the same.
		{"bob..x.@docomo.ne.jp", []string{"bob..x.@docomo.ne.jp"}},
		{"bob@my_host.example.com", []string{"bob@my_host.example.com"}},

		// In prose.
		{"Write to bob@example.com.", []string{"bob@example.com"}},
		{"bob@example.com, eve@example.org; (ann@example.net)!", []string{"bob@example.com", "eve@example.org", "ann@example.net"}},
		{"Bob <bob@example.com>,<eve@example.com>", []string{"bob@example.com", "eve@example.com"}},
		{"'bob@example.com' \"eve@example.com\" “ann@example.com”", []string{"bob@example.com", "eve@example.com", "ann@example.com"}},
		{"**bob@example.com** _eve@example.com_ `ann@example.com` ~x@example.com~", []string{"bob@example.com", "eve@example.com", "ann@example.com", "x@example.com"}},
		{"| bob@example.com|eve@example.com |", []string{"bob@example.com", "eve@example.com"}},
		{"...bob@example.com... -eve@example.com-", []string{"bob@example.com", "eve@example.com"}},
		{"bob@example.com-based, bob@example.com2, bob@example.com_old", []string{"bob@example.com", "bob@example.com", "bob@example.com"}},
		{"bob@example.com—eve@example.com", []string{"bob@example.com", "eve@example.com"}},
		{"bob@example.com\nann@example.com\r\n\teve@example.com", []string{"bob@example.com", "ann@example.com", "eve@example.com"}},
		{"a@b.cd@e.fg", []string{"a@b.cd"}},

		// In scripts without spaces.
		{"请联系bob@example.com谢谢", []string{"bob@example.com"}},
		{"请联系123@qq.com。", []string{"123@qq.com"}},
		{"メールはbob@example.co.jpまで", []string{"bob@example.co.jp"}},
		{"bob@example.com으로 보내세요", []string{"bob@example.com"}},
		{"ติดต่อbob@example.comครับ", []string{"bob@example.com"}},
		{"（bob@example.com）、「eve@example.com」", []string{"bob@example.com", "eve@example.com"}},
		{"bob@例子.com谢谢", []string{"bob@例子.com"}},

		// In URLs, code and JSON.
		{"mailto:bob@example.com?cc=eve@example.com&subject=x", []string{"bob@example.com", "eve@example.com"}},
		{"https://example.com/u/bob@example.com/x?to=eve@example.com", []string{"bob@example.com", "eve@example.com"}},
		{"https://user:secret@example.com/", []string{"secret@example.com"}},
		{"USER=bob@example.com --to=eve@example.com", []string{"bob@example.com", "eve@example.com"}},
		{`{"to":"bob@example.com","cc":["eve@example.com"]}`, []string{"bob@example.com", "eve@example.com"}},
		{`{"text":"Hello\nbob@example.com\teve@example.com\u003cann@example.com\u003e"}`, []string{"bob@example.com", "eve@example.com", "ann@example.com"}},
		{`\"bob@example.com\"`, []string{"bob@example.com"}},
		// As machines and keyboards write the @.
		{"https://example.com/unsubscribe?to=bob%40example.com&from=eve%40mail.example.org", []string{"bob%40example.com", "eve%40mail.example.org"}},
		{"<a href='mailto:bob&#64;example.com'>bob@example.com</a>", []string{"bob&#64;example.com", "bob@example.com"}},
		{"連絡先はbob＠example.co.jpです", []string{"bob＠example.co.jp"}},
		{"bob%40example.org@relay.example.com", []string{"bob%40example.org"}},
		{"100%40 and %40x.yz, a%40b", nil},
		{"SELECT 'bob@example.com'", []string{"bob@example.com"}},
		{"{{bob@example.com}}", []string{"bob@example.com"}},

		// Found, though it is none, or more than there is: too much rather than too little.
		{"git@github.com:org/repo.git", []string{"git@github.com"}},
		{"icon@2x.png", []string{"icon@2x.png"}},
		{"bob@example.com.Then we", []string{"bob@example.com.Then"}},
		{"请联系用户@例子.广告谢谢", []string{"请联系用户@例子.广告谢谢"}},
		// Found in part: what stands before is a path, a key or an escape far more often.
		{"bounce+bob=example.org@lists.example.com", []string{"example.org@lists.example.com"}},
		{`CORP\tom@example.com`, []string{"om@example.com"}},

		// Not found.
		{"react@18.2.0 actions/checkout@v4.1 golang.org/x/tools@v0.1.0 x@1.0.0-rc.1", nil},
		{"@bob and @app.route(x) and ${user}@example.com", nil},
		{"root@localhost bob@[192.0.2.1] bob@192.0.2.1", nil},
		{`"bob smith"@example.com`, nil},
		{"bob at example dot com, bob (at) example.com, b&#111;b at example.com, b@e.x", nil},
		{"bob@ example.com, bob @example.com, bob@.com, bob@-example.com, bob@example..com, @, @@, a@", nil},
		{strings.Repeat("x", 260) + "@example.com", nil},
		{"", nil},
	} {
		if got := found(t, guard.Email{}, c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q\n got %q\nwant %q", c.text, got, c.want)
		}
	}
}

// Whatever stands around it, an address is found whole and alone.
func TestAnAddressIsFoundWherever(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-zA-Z0-9éжß]{1,12}`)
		address := rapid.StringMatching(`[a-z0-9]([a-z0-9.+_%'-]{0,20})@([a-z0-9]{1,10}\.){1,3}[a-z]{2,6}`).
			Filter(func(s string) bool { return !strings.Contains(s, "%40") }).Draw(t, "address")
		before := rapid.SampledFrom([]string{"", " ", "<", "\"", "'", "(", "[", "{", ",", ";", ":", "mailto:", "=", "\n", "/", "?", "&", "|", "`", "、", "请", "は", "\\n", "\\u003c"}).Draw(t, "before")
		after := rapid.SampledFrom([]string{"", " ", ".", ". ", "...", ">", "\"", "'", ")", "]", "}", ",", ";", ":", "?", "!", "\n", "/", "&", "|", "、", "谢", "です", "\\n", "\\u003e"}).Draw(t, "after")
		head, tail := word.Draw(t, "head"), word.Draw(t, "tail")
		if before == "" || before == "'" {
			head = "" // It would be part of the address.
		}
		if after == "" || after == "." || after == "'" {
			tail = ""
		}
		text := head + before + address + after + tail
		if got := found(t, guard.Email{}, text); len(got) != 1 || got[0] != address {
			t.Fatalf("in %q: %q", text, got)
		}
	})
}

// Text made to be slow takes as long as any other of its length. Were the detector
// to look at a byte again for each @, this test would not end within a day.
func TestHostileTextsAreReadOnce(t *testing.T) {
	const size = 8 << 20
	fill := func(with string) string { return strings.Repeat(with, size/len(with)+1)[:size] }
	for _, c := range []struct {
		text string
		want int
	}{
		{fill("@"), 0},
		{fill("a@"), 0},
		{fill("a"), 0},
		{fill("."), 0},
		{fill("a") + "@example.com", 0},
		{"bob@" + fill("a."), 0},
		{"bob@" + fill("a.bc."), 0},
		{fill("a.bc@"), size / 10},
		{fill("a1字") + "1@a.bc", 1},
		{"bob@a." + fill("b字"), 1},
		{fill("字") + "@例.广告", 0},
		{fill("\\") + "@example.com", 0},
		{fill("é@"), 0},
		{fill("\xff@"), 0},
		{fill("bob@example.com "), size / 16},
		{fill("%40"), 0},
		{fill("a%40"), 0},
		{fill("a.bc%40"), size / 14},
		{fill("a") + fill("&#64;aa.bb"), size / 20},
		{fill("@%40"), 0},
	} {
		n := 0
		guard.Email{}.Find(c.text, func(guard.Finding) { n++ })
		if n != c.want {
			t.Errorf("%.20q…: found %d, want %d", c.text, n, c.want)
		}
	}
}

// FuzzEmail holds what must be true of any text: findings are in order, hold one @
// each and cut no character, and when they are replaced nothing is left to find.
func FuzzEmail(f *testing.F) {
	for _, seed := range []string{"bob@example.com", "请bob@example.com谢", `\nbob@example.com`, "a@b.cd@e.fg", "bob@xn--p1ai.рф", "\xffbob@\xff.com", "ex@a.b+bob@y.org",
		strings.Repeat("a", 250) + "@b.cd", "用户@例子.广告", "a@b.c\u0301d", "\u0301@\u0301\u0301.\u0301\u0301",
		"bob%40example.com", "a%4@b.cd%40e.fg", "x%40y&#64;z.ab＠c.de"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var left strings.Builder
		from := 0
		guard.Email{}.Find(text, func(f guard.Finding) {
			if f.Start < from || f.End <= f.Start || f.End > len(text) || f.End-f.Start > 254 || f.Kind != guard.KindEmail {
				t.Fatalf("%+v after %d", f, from)
			}
			address := text[f.Start:f.End]
			signs := 0
			for _, sign := range []string{"@", "%40", "&#64;", "＠"} {
				signs += strings.Count(address, sign)
			}
			if signs != 1 || utf8.ValidString(text) && !utf8.ValidString(address) {
				t.Fatalf("%q in %q", address, text)
			}
			left.WriteString(text[from:f.Start])
			left.WriteString(guard.Placeholder(f.Kind))
			from = f.End
		})
		left.WriteString(text[from:])
		if again := found(t, guard.Email{}, left.String()); len(again) > 0 {
			t.Fatalf("%q became %q, and in it is %q", text, left.String(), again)
		}
	})
}

func TestAllFindsWhatEachFinds(t *testing.T) {
	all := guard.All{guard.Email{}, guard.Email{}}
	if kinds := all.Kinds(); !slices.Equal(kinds, []string{"email"}) {
		t.Error(kinds)
	}
	n := 0
	all.Find("bob@example.com", func(f guard.Finding) { n++ })
	if n != 2 {
		t.Errorf("found %d", n)
	}
}

// BenchmarkEmail is a detector over a prompt of 2 KB: without an address, with one,
// and of nothing else.
func BenchmarkEmail(b *testing.B) {
	prose := strings.Repeat("All work and no play. ", 90)
	for _, c := range []struct{ name, text string }{
		{"none", prose}, {"one", prose[:1000] + " bob@example.com " + prose[1000:]}, {"many", strings.Repeat("bob@example.com ", 128)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				guard.Email{}.Find(c.text, func(guard.Finding) {})
			}
		})
	}
}
