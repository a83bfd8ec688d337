package analytics

import (
	"fmt"
	"slices"
	"strings"
)

// RefusedError says why a user's statement is not run.
type RefusedError struct{ Why string }

func (e *RefusedError) Error() string { return "this statement is not run: " + e.Why }

func refused(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

// readOnly checks a user's statement and returns the one to send. It is the wall:
// ClickHouse's own readonly mode still lets a query read files and URLs, and the
// embedded engine knows no users. So it says what may stand where a table stands,
// and not what may not: names in database signalbox, and four table functions.
func readOnly(sql string) (string, error) {
	list, err := tokens(sql)
	if err != nil {
		return "", refused("%s", err)
	}
	for len(list) > 0 && list[len(list)-1].is(";") {
		list = list[:len(list)-1]
	}
	if len(list) == 0 {
		return "", refused("it is empty")
	}
	c := &checker{list: list}
	if err := c.statement(); err != nil {
		return "", err
	}
	return render(list), nil
}

// checker walks over the tokens of one statement.
type checker struct {
	list []token
	at   int
	// open has one clause for each parenthesis that is open, and one below them.
	open []clause
}

// clause is where in a query a level of parentheses stands.
type clause uint8

const (
	elsewhere clause = iota
	fromList         // a comma is followed by a table
	usingList        // of JOIN … USING, or of ARRAY JOIN: a comma is followed by a column
)

// forbiddenWords write, or change what a statement may do. As names they can be
// written in backticks.
var forbiddenWords = []string{"insert", "into", "outfile", "infile", "settings", "set", "create", "alter", "drop", "truncate",
	"optimize", "attach", "detach", "rename", "exchange", "grant", "revoke", "kill", "backup", "restore", "use", "watch",
	"undrop", "execute", "delete", "update", "parallel", "override", "handler", "copy", "call", "call_function", "prql", "kql"}

// forbiddenFunctions reach beyond the query although they stand where a value
// stands: files, other servers, dictionaries and their sources, models, the
// server itself, time.
var forbiddenFunctions = []string{"file", "hascolumnintable", "catboostevaluate", "evalmlmethod", "sleep", "sleepeachrow",
	"addresstoline", "addresstolinewithinlines", "addresstosymbol", "showcertificate", "getserversetting", "getservermacro", "getmacro",
	"getclienthttpheader", "currentprofiles", "enabledprofiles", "getmergetreesetting", "trap", "filesystemavailable",
	"filesystemcapacity", "filesystemunreserved", "tcpport", "getserverport", "buildid", "queryid", "initialqueryid",
	// IN as a function: what it compares with can be a table.
	"in", "notin", "nullin", "notnullin", "globalin", "globalnotin", "globalnullin", "globalnotnullin", "inignoreset", "notinignoreset",
	"nullinignoreset", "notnullinignoreset", "globalinignoreset", "globalnotinignoreset", "globalnullinignoreset", "globalnotnullinignoreset"}

// forbiddenPrefixes are families of them.
var forbiddenPrefixes = []string{"dict", "joinget", "ai", "getoskernel", "mergetree"}

// tableFunctions may stand where a table stands.
var tableFunctions = []string{"numbers", "numbers_mt", "zeros", "zeros_mt", "values", "generateseries", "generate_series"}

// reachingFunctions are ClickHouse's other table functions. They are refused
// wherever they are called, in case a place for a table was not recognised.
var reachingFunctions = []string{"ytsaurus", "hudi", "hudicluster", "deltalake", "deltalakecluster", "deltalakelocal", "deltalakes3",
	"deltalakeazure", "deltalakeazurecluster", "deltalakes3cluster", "paimon", "paimoncluster", "paimonhdfs", "paimonhdfscluster",
	"paimonazure", "paimonazurecluster", "paimons3", "paimons3cluster", "paimonlocal", "iceberg", "icebergcluster", "iceberglocal",
	"iceberglocalcluster", "icebergazure", "icebergazurecluster", "icebergs3", "icebergs3cluster", "iceberghdfs", "iceberghdfscluster",
	"hdfs", "hdfscluster", "azureblobstorage", "azureblobstoragecluster", "s3", "s3cluster", "oss", "gcs", "cosn",
	"prometheusquery", "prometheusqueryrange", "timeseriesdata", "timeseriestags", "timeseriesmetrics", "timeseriesselector",
	"fuzzquery", "fuzzjson", "loop", "postgresql", "clusterallreplicas", "cluster", "view", "viewifpermitted", "viewexplain", "jdbc",
	"odbc", "filesystem", "filecluster", "generaterandom", "dictionary", "sqlstandardvalues", "merge", "url", "urlcluster",
	"executable", "redis", "arrowstream", "arrowflight", "input", "mysql", "mongodb", "sqlite", "primes", "remote", "remotesecure",
	"null", "mergetreeindex", "mergetreeprojection", "mergetreeanalyzeindexes", "mergetreeanalyzeindexesuuid", "mergetreetextindex"}

func forbidden(function string) bool {
	f := strings.ToLower(function)
	if slices.Contains(forbiddenFunctions, f) || slices.Contains(reachingFunctions, f) {
		return true
	}
	return slices.ContainsFunc(forbiddenPrefixes, func(p string) bool { return strings.HasPrefix(f, p) })
}

func (c *checker) peek(ahead int) token {
	if c.at+ahead < len(c.list) && c.at+ahead >= 0 {
		return c.list[c.at+ahead]
	}
	return token{}
}

func (c *checker) skip(keyword string) bool {
	if c.peek(0).is(keyword) {
		c.at++
		return true
	}
	return false
}

// statement looks at the first word, which says how the rest is to be read.
func (c *checker) statement() error {
	switch first := c.peek(0); {
	case first.is("select"), first.is("with"), first.is("from"):
		return c.query()
	case first.is("("):
		if !c.queryInside() {
			return refused("a parenthesis at its beginning must hold a SELECT")
		}
		return c.query()
	case first.is("explain"):
		return c.explain()
	case first.is("describe"), first.is("desc"):
		c.at++
		c.skip("table")
		if c.peek(0).is("(") {
			return c.query()
		}
		return c.wholeTable()
	case first.is("exists"):
		c.at++
		_ = c.skip("table") || c.skip("view")
		return c.wholeTable()
	case first.is("show"):
		return c.show()
	}
	return refused("only SELECT, WITH, SHOW, DESCRIBE, EXISTS and EXPLAIN are; it begins with %q", c.peek(0).text)
}

// explain is followed by a query, and by options without meaning to us before it.
func (c *checker) explain() error {
	for c.at++; c.at < len(c.list); c.at++ {
		if t := c.peek(0); t.is("select") || t.is("with") {
			return c.query()
		} else if t.kind == quotedName || t.is("(") || t.is("from") {
			break
		}
	}
	return refused("EXPLAIN is answered for SELECT")
}

// show answers what is there of our own.
func (c *checker) show() error {
	c.at++
	switch {
	case c.skip("tables"):
		if c.skip("from") || c.skip("in") {
			if !strings.EqualFold(c.peek(0).name(), database) {
				return refused("only the tables of database %s are shown", database)
			}
			c.at++
		}
		return c.noTables()
	case c.skip("databases"):
		return c.noTables()
	case c.peek(0).is("create") || c.peek(0).is("columns"):
		create := c.peek(0).is("create")
		c.at++
		_ = create && (c.skip("table") || c.skip("view")) || !create && (c.skip("from") || c.skip("in"))
		return c.wholeTable()
	}
	return refused("SHOW is answered for TABLES, COLUMNS FROM a table, CREATE TABLE and DATABASES")
}

// noTables allows patterns and limits after SHOW, and nothing that names a table.
func (c *checker) noTables() error {
	for ; c.at < len(c.list); c.at++ {
		t := c.peek(0)
		if t.kind == literal || t.is("like") || t.is("ilike") || t.is("not") || t.is("limit") {
			continue
		}
		return refused("%q is not expected in SHOW", t.text)
	}
	return nil
}

// wholeTable expects one table and nothing after it.
func (c *checker) wholeTable() error {
	if err := c.table(); err != nil {
		return err
	}
	if c.at < len(c.list) {
		return refused("%q is not expected after the table", c.peek(0).text)
	}
	return nil
}

// query walks over SELECTs, however nested, and looks at every place where a
// table or a function can stand.
func (c *checker) query() error {
	c.open = []clause{elsewhere}
	for c.at < len(c.list) {
		if err := c.step(); err != nil {
			return err
		}
	}
	if len(c.open) != 1 {
		return refused("a parenthesis is not closed")
	}
	return nil
}

// clauseWords end the list of tables.
var clauseWords = []string{"select", "with", "where", "prewhere", "group", "order", "having", "limit", "offset", "fetch", "union",
	"intersect", "except", "window", "qualify"}

func (c *checker) step() error {
	t := c.peek(0)
	here := &c.open[len(c.open)-1]
	// A name after a dot is a column's or a part of a tuple, whatever it spells.
	afterDot := c.peek(-1).is(".")
	switch {
	case t.is("("):
		c.open = append(c.open, elsewhere)
	case t.is(")"):
		if len(c.open) == 1 {
			return refused("a parenthesis is closed that was not opened")
		}
		c.open = c.open[:len(c.open)-1]
	case t.is(";"):
		return refused("it is more than one statement")
	case t.is(",") && *here == fromList:
		c.at++
		return c.tableOrQuery()
	case t.kind == word && !afterDot && !c.peek(1).is("(") && slices.ContainsFunc(clauseWords, t.is):
		*here = elsewhere
	case t.kind == word && !afterDot && (t.is("from") || t.is("join")):
		return c.tables(here)
	case t.kind == word && !afterDot && t.is("using"):
		*here = usingList
	case t.kind == word && !afterDot && t.is("in"):
		c.at++
		return c.operandOfIn()
	case t.kind == word && !afterDot && t.is("format") && !c.peek(1).is("("):
		return refused("the output's format is chosen outside of it (-o table|json)")
	case t.kind == word && slices.ContainsFunc(forbiddenWords, t.is):
		return refused("%s is not allowed in it (write a column of that name in backticks)", strings.ToUpper(t.text))
	case t.name() != "" && c.peek(1).is("(") && forbidden(t.name()):
		return refused("the function %s is not allowed", t.name())
	}
	c.at++
	return nil
}

// tables reads what follows FROM or JOIN.
func (c *checker) tables(here *clause) error {
	if c.peek(0).is("join") && c.peek(-1).is("array") {
		*here = usingList
		c.at++
		return nil
	}
	*here = fromList
	c.at++
	return c.tableOrQuery()
}

// tableOrQuery expects a table, a table function or a query in parentheses. What
// is inside of them is walked over by step.
func (c *checker) tableOrQuery() error {
	if !c.peek(0).is("(") {
		return c.table()
	}
	if !c.queryInside() {
		return refused("a parenthesis after FROM or JOIN must hold a SELECT")
	}
	return nil
}

// queryInside says whether the parentheses that open here hold a query.
func (c *checker) queryInside() bool {
	inner := 0
	for c.peek(inner).is("(") {
		inner++
	}
	t := c.peek(inner)
	return t.is("select") || t.is("with") || t.is("from")
}

// operandOfIn looks at what IN compares with: a name there can be a table, also
// in parentheses. (in(x, y) reads the same, so a list is looked at name by name.)
func (c *checker) operandOfIn() error {
	inner := 0
	for c.peek(inner).is("(") {
		inner++
	}
	first := c.peek(inner)
	switch {
	case first.is("select"), first.is("with"), first.is("from"):
		return nil
	case inner > 0:
		return c.listOfIn(inner)
	case first.name() == "":
		return nil
	case c.peek(1).is("("):
		if f := strings.ToLower(first.name()); f != "tuple" && f != "array" {
			return refused("the function %s is not allowed after IN without parentheses", first.name())
		}
		return nil
	}
	return c.lookAhead(0)
}

// listOfIn looks at a list in parentheses, from behind those that open it. A
// name with a dot that stands alone could be another database's table.
func (c *checker) listOfIn(at int) error {
	depth := 1
	start := true
	for ; depth > 0 && c.at+at < len(c.list); at++ {
		t := c.peek(at)
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case start && t.name() != "":
			last := at
			for c.peek(last+1).is(".") && c.peek(last+2).name() != "" {
				last += 2
			}
			if end := c.peek(last + 1); end.is(",") || end.is(")") {
				if err := c.lookAhead(at); err != nil {
					return err
				}
			}
		}
		start = t.is("(") || t.is(",")
	}
	return nil
}

// lookAhead checks a table's name further on, without moving there.
func (c *checker) lookAhead(by int) error {
	at := c.at
	c.at += by
	err := c.table()
	c.at = at
	return err
}

// table expects the name of a table of ours, or an allowed table function, and
// steps over the name.
func (c *checker) table() error {
	first := c.peek(0)
	if first.name() == "" {
		return refused("a table's name is expected and %q stands there", first.text)
	}
	if first.kind == word && slices.ContainsFunc(forbiddenWords, first.is) {
		return refused("%s is not allowed in it", strings.ToUpper(first.text))
	}
	if c.peek(1).is("(") {
		if !slices.Contains(tableFunctions, strings.ToLower(first.name())) {
			return refused("the table function %s is not allowed", first.name())
		}
		c.at++
		return nil
	}
	c.at++
	table := first
	if c.peek(0).is(".") {
		table = c.peek(1)
		c.at += 2
		if first.name() != database && !(strings.EqualFold(first.name(), "system") && strings.EqualFold(table.name(), "one")) {
			return refused("%s.%s is not in database %s", first.name(), table.name(), database)
		}
	}
	if c.peek(0).is(".") || c.peek(0).is("(") {
		return refused("%s is not the name of a table", table.text)
	}
	if !plainName(table.name()) {
		return refused("%s is not the name of a table of ours", table.text)
	}
	return nil
}

// plainName says whether a table could have the name: ours are words. Others can
// be paths of files.
func plainName(s string) bool {
	return s != "" && isNameStart(s[0]) && nameLength(s) == len(s)
}
