package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
)

// defaultURL is where serve listens when nothing is configured.
const defaultURL = "http://127.0.0.1:8080"

// maxAnswer bounds what is read of one answer; the longest is a list of meters.
const maxAnswer = 256 << 20

// globals is what the commands that talk to a running service share.
type globals struct {
	URL    string
	Token  string // sba_… of an operator; from the environment, because flags show in process lists
	Output string // table or json
	Stdout io.Writer
	Stderr io.Writer
	Stdin  io.Reader
	// Terminal reports whether Stdin is one, so that there is somebody to ask.
	Terminal bool
}

// addClientCommands adds every command that talks to a running service, and the
// rules of exit codes to the whole tree.
func addClientCommands(root *cobra.Command, stdin io.Reader, stdout, stderr io.Writer) {
	g := &globals{
		Token: os.Getenv("SIGNALBOX_TOKEN"), Stdin: stdin, Stdout: stdout, Stderr: stderr, Terminal: isTerminal(stdin),
	}
	for _, cmd := range []*cobra.Command{
		newApplyCmd(g), newKeysCmd(g), newBudgetsCmd(g), newDecideCmd(g), newSQLCmd(g), newDoctorCmd(g), newVersionCmd(g),
	} {
		g.asks(cmd)
		root.AddCommand(cmd)
	}
	root.AddCommand(newEnvoyCmd(g))
	strictUsage(root)
}

// asks gives a command the flags of those that talk to a running service.
func (g *globals) asks(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVarP(&g.Output, "output", "o", "table", "table or json")
	if cmd.Name() != "version" {
		flags.StringVar(&g.URL, "url", orDefault(os.Getenv("SIGNALBOX_URL"), defaultURL), "where the service is (SIGNALBOX_URL)")
	}
	cmd.PersistentPreRunE = func(*cobra.Command, []string) error { return g.check() }
}

// check refuses what no command can work with.
func (g *globals) check() error {
	if g.Output != "table" && g.Output != "json" {
		return usagef("-o %s: want table or json", g.Output)
	}
	if g.URL == "" {
		return nil
	}
	u, err := url.Parse(g.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return usagef("--url: want an address such as %s", defaultURL)
	}
	return nil
}

// usageError is a command that was typed wrongly: exit 2.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// strictUsage makes every mistake of typing a usageError: unknown flags, unknown
// commands and arguments that are too many or too few.
func strictUsage(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usagef("%s; see %s --help", err, c.CommandPath()) })
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usagef("%s; see %s --help", err, c.CommandPath())
			}
			return nil
		}
	}
	if !cmd.Runnable() && cmd.HasSubCommands() {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("%s has no command %q; see %s --help", c.CommandPath(), args[0], c.CommandPath())
			}
			return c.Help()
		}
	}
	for _, child := range cmd.Commands() {
		strictUsage(child)
	}
}

// apiError is what the service answered instead of doing what it was asked.
type apiError struct {
	status   int
	response adminapi.ErrorResponse
}

func (e *apiError) Error() string {
	message := e.response.Error.Message
	if message == "" {
		message = fmt.Sprintf("the service answered %d %s", e.status, http.StatusText(e.status))
	}
	if e.response.Error.Where != "" {
		return e.response.Error.Where + ": " + message
	}
	return message
}

// call asks the service for one thing and reads its answer into out.
func (g *globals) call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	res, err := g.send(ctx, method, path, in, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := refused(res); err != nil {
		return err
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("%s%s answered something that cannot be read; is it Signalbox, and of this version?", g.URL, path)
	}
	return nil
}

// send sends one request. The caller closes the answer's body.
func (g *globals) send(ctx context.Context, method, path string, in any, headers map[string]string) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("spell the request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(g.URL, "/")+path, body)
	if err != nil {
		return nil, usagef("--url: %s", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if g.Token != "" && !strings.HasPrefix(g.Token, "sbg_") {
		req.Header.Set("Authorization", "Bearer "+g.Token)
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		// url.Error repeats the address; what helps is what to check.
		if failure, ok := errors.AsType[*url.Error](err); ok {
			err = failure.Err
		}
		return nil, fmt.Errorf("cannot reach Signalbox at %s: %w; is `signalbox serve` running there? (--url or SIGNALBOX_URL)", g.URL, err)
	}
	return res, nil
}

// refused reads an answer that is not a success.
func refused(res *http.Response) error {
	if res.StatusCode == http.StatusOK {
		return nil
	}
	e := &apiError{status: res.StatusCode}
	// An answer that is not ours leaves the fields empty; the status still tells.
	_ = json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&e.response)
	if e.status == http.StatusUnauthorized && os.Getenv("SIGNALBOX_TOKEN") == "" {
		e.response.Error.Message = orDefault(e.response.Error.Message, "not let in") + "; SIGNALBOX_TOKEN is not set"
	}
	return e
}

// by is who asks, for the journal. The service believes it only where it knows
// nobody better.
func by(why string) adminapi.By {
	who := ""
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	return adminapi.By{Who: who, Why: why}
}

func orDefault(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
