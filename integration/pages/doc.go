// Package pages reads the project's documents as their reader does: from top to
// bottom, pasting every command into a terminal, saving every file that is shown,
// running every program, and comparing what comes with what the page says comes.
// A page that tells what does not work is a bug, and this package finds it.
//
// What a block is depends on its language:
//
//	sh            pasted into the reader's terminal, which lives as long as the page
//	python, js    a program of its own, run with the official SDKs
//	yaml, toml    a file; its first line is a comment that names it
//	text          what the block before it prints; … stands for anything in a line,
//	              and a line of … for any lines
//
// A line that starts a server gets a terminal of its own, and the next line waits
// until it answers. What is only true after a moment (budgets, sql) is asked until
// it is true. Everything else has to be there at once.
//
// The reader of a test has another machine than the reader of the page, so a few
// things are replaced, here and in what is expected, and no others:
//
//	localhost:8080, :9090, :9091   free ports of this machine
//	https://api.openai.com, https://api.anthropic.com, https://contoso.openai.azure.com
//	                               the simulated provider of integration/upstream,
//	                               whose credentials are the reader's own in
//	                               OPENAI_API_KEY, ANTHROPIC_API_KEY, AZURE_OPENAI_API_KEY
//	=sk-…, =sk-ant-…               the same credentials
//	go run ./integration/upstream/serve
//	                               the same program, built before
//	git clone …, make build, pip install …, npm install …
//	                               done: the folder has bin/signalbox and deploy/, and the
//	                               SDKs and agents are those that are pinned here
//
// A block that cannot be run says so in its own text, and the table in
// pages_test.go says why. A block of a kind that nothing here knows fails.
//
// Start at reader.go; markdown.go finds the blocks, terminal.go is the terminal.
package pages
