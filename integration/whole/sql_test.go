package whole_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// signalbox sql reads and nothing else, and its JSON keeps every digit.
func TestSQLReadsOnly(t *testing.T) {
	engine(t)
	box := start(t, people+month, "")
	secret := key(t, box, "globex/notebook")
	a := open(t, box, secret, "")
	if _, err := box.Settle(ctx(t), completed(a, 20, 30)); err != nil {
		t.Fatal(err)
	}
	sqlSays(t, box, "SELECT sum(charged_nano_usd) AS a FROM usage", 350_000)
	for _, query := range []string{
		"DROP TABLE usage_log",
		"INSERT INTO usage_log (tenant) VALUES ('globex')",
		"TRUNCATE TABLE decisions_log",
		"ALTER TABLE usage_log DELETE WHERE 1",
		"SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
		"SELECT * FROM file('/etc/passwd', 'LineAsString', 'a String')",
		"SELECT file('/etc/passwd')",
		"SELECT * FROM s3('http://127.0.0.1:1/bucket/a.csv', 'CSV', 'a String')",
		"SELECT * FROM remote('127.0.0.1:1', 'system', 'one')",
		"SELECT 1 INTO OUTFILE '/tmp/out.csv'",
		"SELECT 1; DROP TABLE usage_log",
		"SYSTEM SHUTDOWN",
		"SELECT * FROM system.processes",
		"SET readonly = 0",
	} {
		done, err := box.Command(ctx(t), "sql", query)
		if err != nil || done.Exit != 1 || !strings.Contains(done.Stderr, "this statement is not run") || done.Stdout != "" {
			t.Errorf("%s: %v, exit %d, %q %q", query, err, done.Exit, done.Stdout, done.Stderr)
		}
	}
	sqlSays(t, box, "SELECT sum(charged_nano_usd) AS a, count() AS b FROM usage", 350_000, 1)

	out, err := box.Run(ctx(t), "sql", "-o", "json", "SELECT toInt64(-9223372036854775807) AS i, toUInt64(18446744073709551615) AS u, 'a\"<b>' AS s, toInt32(5) AS small, ['a','b'] AS list, map('k','v') AS m, sum(charged_nano_usd) AS charged FROM usage")
	if err != nil {
		t.Fatal(err)
	}
	want := `{"i":"-9223372036854775807","u":"18446744073709551615","s":"a\"<b>","small":5,"list":["a","b"],"m":{"k":"v"},"charged":"350000"}`
	if !json.Valid([]byte(out)) || !strings.Contains(out, want) {
		t.Errorf("-o json prints %s; want %s", out, want)
	}
	table, err := box.Run(ctx(t), "sql", "SELECT tenant, team, sum(cost_nano_usd)/1e9 AS usd FROM costs GROUP BY tenant, team")
	if err != nil || !strings.Contains(table, "globex") || !strings.Contains(table, "research") || !strings.Contains(table, "0.00035") {
		t.Errorf("as a table: %v %s", err, table)
	}
	done, err := box.Command(ctx(t), "sql", "SELECT no_such_column FROM usage")
	if err != nil || done.Exit != 1 || !strings.Contains(done.Stderr, "no_such_column") {
		t.Errorf("a query that is wrong: %v %+v", err, done)
	}
}
