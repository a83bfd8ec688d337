package analytics

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// answered are statements that people write, each of which must run.
var answered = []string{
	"SELECT 1",
	"select team, sum(cost_nano_usd)/1e9 FROM costs GROUP BY team;",
	"SELECT * FROM signalbox.costs LIMIT 1",
	"SELECT * FROM `signalbox`.`usage` AS u LIMIT 1",
	"-- who spent most\nSELECT user, /* nano */ sum(charged_nano_usd) AS n FROM usage WHERE tags['env'] = 'prod' GROUP BY user ORDER BY n DESC LIMIT 3 -- done",
	"WITH h AS (SELECT tenant, hour, cost_nano_usd FROM spend_hourly) SELECT h.tenant, max(h.cost_nano_usd) FROM h GROUP BY h.tenant",
	"WITH (SELECT count() FROM usage) AS n SELECT n, n + 1",
	"SELECT d.reason, count() FROM decisions AS d LEFT JOIN usage AS u ON d.decision_id = u.decision_id AND u.attempt = 1 WHERE d.action = 'deny' GROUP BY d.reason",
	"SELECT a.call_id FROM usage a JOIN decisions b USING (call_id), numbers(2) n WHERE a.call_id IN ('x', 'y''z;', 'q\\'') AND b.action NOT IN (SELECT action FROM decisions)",
	"SELECT x FROM (SELECT arrayJoin([1, 2, 3]) AS x) WHERE x IN (1, 2) UNION ALL (SELECT 4)",
	"SELECT number, sum(number) OVER (ORDER BY number ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM numbers(3)",
	"SELECT arrayMap(x -> (x + 1, x), [1, 2])[1].1, map('a', 1)['a'], 5::Int64, true ? 1 : 0, 1 <= 2, -1.5e3, 0xFF",
	"SELECT code FROM decisions ARRAY JOIN `reasons.code` AS code, `reasons.budget` AS budget WHERE budget = 'm'",
	"SELECT format('{}-{}', 'a', 'b'), substring('abc', 1, 2), at FROM decisions ORDER BY at DESC LIMIT 1 BY tenant LIMIT 2",
	"FROM usage SELECT count()",
	"EXPLAIN SELECT count() FROM usage",
	"EXPLAIN PLAN indexes = 1 SELECT count() FROM usage",
	"DESCRIBE TABLE costs", "DESC signalbox.usage", "DESCRIBE (SELECT 1)", "EXISTS costs", "EXISTS TABLE signalbox.nothing",
	"SHOW TABLES", "SHOW TABLES FROM signalbox LIKE '%cost%'", "SHOW CREATE TABLE costs", "SHOW COLUMNS FROM usage", "SHOW DATABASES",
	"SELECT * FROM system.one", "SELECT * FROM values('a Int64', 1, 2)", "SELECT count() FROM generateSeries(1, 5)",
	"SELECT `file`, \"url\" FROM (SELECT 1 AS `file`, 2 AS `url`)",
	"SELECT tenant FROM usage WHERE tenant = 'INSERT INTO x; DROP TABLE y -- FROM url(1)'",
	"SELECT countIf(action = 'deny') FROM decisions FINAL2 WHERE at > now() - INTERVAL 7 DAY",
	"SELECT count() FROM usage WHERE attempt IN tuple(1, 2) AND tenant IN (lower('A'), team, 'x') AND (tenant, app) IN (('a', 'b'), ('c', 'd'))",
	"SELECT quantileExact(0.99)(latency_us), topK(3)(model) FROM decisions",
	"SELECT if(empty(findings), 'none', findings[1]) AS f, count() FROM decisions GROUP BY f WITH TOTALS",
}

// refusedStatements must not reach the database, whatever it would say to them.
var refusedStatements = []string{
	"", ";", "-- nothing",
	// Other statements, alone, behind another and inside one.
	"INSERT INTO usage_log SELECT 1", "DROP TABLE usage_log", "CREATE TABLE x (a Int8) ENGINE = Memory", "SET readonly = 0", "USE system",
	"SYSTEM SHUTDOWN", "ALTER TABLE usage_log DELETE WHERE 1", "KILL QUERY WHERE 1", "GRANT ALL ON *.* TO x", "BACKUP TABLE t TO Disk('x', 'y')",
	"SELECT 1; SELECT 2", "SELECT 1; DROP TABLE x", "SELECT 1 /* a */ ; /* b */ DROP TABLE x",
	"WITH x AS (SELECT 1) INSERT INTO usage_log SELECT * FROM x", "EXPLAIN INSERT INTO x VALUES (1)", "EXPLAIN AST DROP TABLE x", "EXPLAIN TABLE OVERRIDE mysql('h', 'd', 't', 'u', 'p') x",
	"SELECT 1 PARALLEL WITH DROP TABLE x", "FROM usage INSERT INTO x SELECT 1",
	// Where the output goes, and what a statement may do.
	"SELECT 1 INTO OUTFILE '/tmp/x'", "SELECT 1 FORMAT Null", "SELECT 1 SETTINGS readonly = 0", "SELECT * FROM usage SETTINGS max_execution_time = 0",
	"SELECT * FROM (SELECT 1 SETTINGS max_memory_usage = 0)", "EXPLAIN SELECT 1 SETTINGS readonly=0",
	// Table functions, in every spelling and place.
	"SELECT * FROM url('http://x', CSV, 'a String')", "SELECT * FROM  /* */ uRL /**/ ('http://x')", "SELECT * FROM `url`('http://x')", "SELECT * FROM \"s3\"('x')",
	"SELECT * FROM file('/etc/passwd')", "SELECT * FROM remote('h', system.one)", "SELECT * FROM executable('id', TSV, 'a String')",
	"SELECT * FROM usage, url('x')", "SELECT * FROM usage a, decisions b, file('x') c", "SELECT * FROM usage JOIN s3('x') USING a", "SELECT * FROM usage CROSS JOIN mysql('a')",
	"SELECT * FROM usage ARRAY JOIN tags AS t, url('x')", "SELECT * FROM usage JOIN decisions USING (call_id), url('x')", "SELECT * FROM usage JOIN decisions ON a = b, postgresql('x')",
	"SELECT 1 IN url('x')", "SELECT 1 IN (url('x'))", "SELECT 1 WHERE 1 IN (SELECT * FROM sqlite('x'))", "SELECT (SELECT * FROM odbc('x'))",
	"SELECT * FROM view(SELECT * FROM file('x'))", "SELECT * FROM merge('system', '.*')", "SELECT * FROM cluster('default', system.one)", "SELECT * FROM loop(system.users)",
	"SELECT * FROM numbers(1) UNION ALL SELECT * FROM hdfs('x')", "SELECT * FROM somethingNew('x')", "DESCRIBE url('x')", "DESCRIBE TABLE s3('x')", "EXISTS url('x')",
	"SELECT * FROM (url('x'))", "SELECT * FROM ((file('x')))", "WITH x AS (SELECT * FROM mongodb('x')) SELECT * FROM x", "SELECT * FROM icebergS3('x')", "SELECT * FROM deltaLake('x')",
	// Tables of others: the system's, the engine's files, names that are paths.
	"SELECT * FROM system.users", "SELECT * FROM `system`.`query_log`", "SELECT * FROM SYSTEM.one1", "SELECT * FROM default.x", "SELECT * FROM `default`.`/etc/passwd`",
	"SELECT * FROM `/etc/passwd`", "SELECT * FROM \"a.csv\"", "SELECT * FROM 'a.csv'", "SELECT * FROM information_schema.tables", "SELECT * FROM signalbox.`.inner`", "SELECT * FROM a.b.c",
	"SELECT 1 IN system.users", "SELECT 1 IN (system.users)", "SELECT 1 IN ((`/etc/passwd`))", "SELECT 1 NOT IN `x y`", "SELECT 1 GLOBAL IN system.tables",
	"SELECT in(1, system.users)", "SELECT iN (1, (system.users))", "SELECT `in`(1, system.users)", "SELECT notIn(1, system.users)", "SELECT 1 IN (2, `/etc/passwd`)", "SELECT 1 IN newTableFunction('x')",
	"SHOW TABLES FROM system", "SHOW CREATE TABLE system.users", "SHOW COLUMNS FROM x FROM system", "SHOW GRANTS", "SHOW USERS", "SHOW PROCESSLIST", "SHOW FUNCTIONS", "EXISTS DATABASE system",
	"DESCRIBE system.users", "SHOW TABLES NOT LIKE 'x' INTO OUTFILE 'y'",
	// Functions that reach out from where values stand.
	"SELECT file('/etc/passwd')", "SELECT FILE /* x */ ('a')", "SELECT `file`('a')", "SELECT dictGet('d', 'a', 1)", "SELECT joinGet('signalbox.names_lookup', 'name', 'a', 'b')",
	"SELECT hasColumnInTable('h', 'u', 'p', 'd', 't', 'c')", "SELECT catboostEvaluate('m', 1)", "SELECT sleep(3)", "SELECT aiGenerate('x', 'y')", "SELECT getServerSetting('x')", "SELECT showCertificate()",
	// Where two lexers could differ.
	"SELECT 'a", "SELECT `a", "SELECT /* a", "SELECT /* /* */ 1", "SELECT 1 # comment\n FROM url('x')", "SELECT $$a$$", "SELECT 1.url('x')", "SELECT 1url('x')", "SELECT “a”", "SELECT ‘a’",
	"SELECT * FROM\u00a0usage", "SELECT \x00 1", "SELECT 'a\x00b'", "SELECT `a\\`b`", "SELECT \\N", "SELECT {x:Identifier} FROM usage", "SELECT * FROM {x:Identifier}", "SELECT (1", "SELECT 1)", "(system.users)", "SELECT {'a': 1}",
}

func TestUsersStatements(t *testing.T) {
	store := newStore(t)
	for _, sql := range answered {
		sql = strings.Replace(sql, "FINAL2", "", 1)
		if _, err := store.Query(t.Context(), sql); err != nil {
			t.Errorf("%s\n\t%v", sql, err)
		}
	}
	for _, sql := range refusedStatements {
		_, err := store.Query(t.Context(), sql)
		var refused *RefusedError
		if !errors.As(err, &refused) {
			t.Errorf("%q reached the database: %v", sql, err)
		}
	}
	t.Run("no table function of this engine but the allowed ones", func(t *testing.T) {
		var names []string
		rows, err := store.bare.Query(t.Context(), "SELECT name FROM system.table_functions")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
		if len(names) < 50 {
			t.Fatalf("only %d table functions: %v", len(names), names)
		}
		for _, name := range names {
			if slices.Contains(tableFunctions, strings.ToLower(name)) {
				continue
			}
			for _, sql := range []string{"SELECT * FROM " + name + "('x')", "SELECT * FROM usage, " + strings.ToUpper(name) + " ('x')"} {
				if _, err := readOnly(sql); err == nil {
					t.Errorf("%s would run", sql)
				}
			}
			if name == "format" {
				continue // the function of that name puts text together, and the table function reads its own arguments
			}
			if _, err := readOnly("SELECT " + name + "('x')"); err == nil {
				t.Errorf("%s would be called where a value stands", name)
			}
		}
	})
	t.Run("limits hold", func(t *testing.T) {
		tight := *store
		tight.cfg.QueryRows = 10
		tight.cfg.QueryTime = time.Second
		for sql, want := range map[string]string{
			"SELECT * FROM numbers(11)":                         "396", // TOO_MANY_ROWS_OR_BYTES
			"SELECT sum(number) FROM numbers(1000000000000000)": "159", // TIMEOUT_EXCEEDED
			"SELECT uniqExact(number) FROM numbers(1000000000)": "241", // MEMORY_LIMIT_EXCEEDED
		} {
			tight.cfg.QueryMemory = 1 << 20
			if _, err := tight.Query(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "code: "+want) {
				t.Errorf("%s: got %v, want code %s", sql, err, want)
			}
		}
	})
	t.Run("integers stay whole", func(t *testing.T) {
		got := one(t, store, "SELECT 9223372036854775807 AS a, toUInt64(18446744073709551615), [toInt64(-1)], map('k', toInt64(9007199254740993)), toInt128('170141183460469231731687303715884105727'), NULL, 1.5, toInt32(7), nan")
		want := `"9223372036854775807","18446744073709551615",["-1"],{"k":"9007199254740993"},"170141183460469231731687303715884105727",null,1.5,7,"NaN"`
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

// FuzzReadOnly looks for a statement that is let through and is not what it
// seems: read again, what is sent must be let through again as it is.
func FuzzReadOnly(f *testing.F) {
	for _, sql := range append(slices.Clone(answered), refusedStatements...) {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		once, err := readOnly(sql)
		if err != nil {
			return
		}
		twice, err := readOnly(once)
		if err != nil || twice != once {
			t.Fatalf("%q is sent as %q, which reads as %q, %v", sql, once, twice, err)
		}
		outside := outsideQuotes(once)
		for _, word := range []string{"url(", "url (", "file(", "file (", "s3(", "s3 (", "insert", "outfile", ";", "--", "/*", "#", "from system.users", "join system.users", "in system.users"} {
			if containsWord(outside, word) {
				t.Fatalf("%q is sent as %q, which holds %q", sql, once, word)
			}
		}
	})
}

// outsideQuotes takes quoted text out of a statement, by its own lights.
func outsideQuotes(sql string) string {
	var b strings.Builder
	for i := 0; i < len(sql); i++ {
		c := sql[i]
		if c != '\'' && c != '"' && c != '`' {
			b.WriteByte(c)
			continue
		}
		for i++; i < len(sql) && sql[i] != c; i++ {
			if sql[i] == '\\' {
				i++
			}
		}
		b.WriteString("''")
	}
	return strings.ToLower(b.String())
}

// containsWord finds a word that is not the end of a longer name, nor a name
// after a dot.
func containsWord(s, word string) bool {
	for i := 0; ; {
		at := strings.Index(s[i:], word)
		if at < 0 {
			return false
		}
		at += i
		before := strings.TrimRight(s[:at], " ")
		if !isNameStart(word[0]) || (at == 0 || !isNameStart(s[at-1]) && !isDigit(s[at-1])) && !strings.HasSuffix(before, ".") {
			end := at + len(word)
			if !isNameStart(word[len(word)-1]) || end == len(s) || !isNameStart(s[end]) && !isDigit(s[end]) {
				return true
			}
		}
		i = at + 1
	}
}
