package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
)

// applyOptions is what the flags say.
type applyOptions struct {
	file     string
	dryRun   bool
	exitCode bool
	prune    bool
	yes      bool
	why      string
}

func newApplyCmd(g *globals) *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR",
		Short: "Make the registry what the files say: tenants, models, prices, budgets",
		Long: `Prints the difference between the files and the registry, then applies it. What
removes or resets something needs --yes, or a yes at the terminal. Nothing is
removed without --prune, and then only within the tenants that the files name.`,
		Example: `  signalbox apply -f registry.yaml --dry-run
  signalbox apply -f registry/ --prune --yes --why "team search moved to acme"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return apply(cmd.Context(), g, o) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.file, "file", "f", "", "a YAML file, or a folder whose .yaml and .yml files are all read; - is standard input")
	flags.BoolVar(&o.dryRun, "dry-run", false, "only print the difference")
	flags.BoolVar(&o.exitCode, "exit-code", false, "exit 1 if there is a difference")
	flags.BoolVar(&o.prune, "prune", false, "remove what the files do not name, within the tenants they name")
	flags.BoolVar(&o.yes, "yes", false, "do not ask before removing or resetting")
	flags.StringVar(&o.why, "why", "", "kept with the change")
	return cmd
}

// errDifference is exit 1 with nothing more to say than what was printed.
var errDifference = errors.New("the registry and the files differ")

func apply(ctx context.Context, g *globals, o applyOptions) error {
	if o.file == "" {
		return usagef("-f is needed: a registry file, a folder of them, or -; see signalbox apply --help")
	}
	files, err := registryFiles(o.file, g.Stdin)
	if err != nil {
		return err
	}
	req := adminapi.ApplyRequest{By: by(o.why), Files: files, DryRun: o.dryRun, Prune: o.prune, Confirm: o.yes}
	done, err := g.apply(ctx, req)
	if err != nil {
		return explain(g, err)
	}
	if err := g.printDiff(done, o.dryRun); err != nil {
		return err
	}
	if o.exitCode && len(done.Diff.Changes) > 0 {
		return errDifference
	}
	return nil
}

// apply sends the files, and asks whoever sits at the terminal where the service
// wants a yes.
func (g *globals) apply(ctx context.Context, req adminapi.ApplyRequest) (adminapi.ApplyResponse, error) {
	var done adminapi.ApplyResponse
	err := g.call(ctx, "POST", "/admin/v1/apply", req, &done)
	wants, ok := errors.AsType[*apiError](err)
	if !ok || wants.response.Error.Code != adminapi.CodeConfirm || wants.response.Diff == nil {
		return done, err
	}
	if !g.Terminal {
		g.printChanges(g.Stderr, *wants.response.Diff)
		return done, errors.New("this removes or resets something: look at the difference above and give --yes")
	}
	g.printChanges(g.Stderr, *wants.response.Diff)
	yes, err := g.ask("This removes or resets what is marked with !. Apply it?")
	if err != nil {
		return done, err
	}
	if !yes {
		return done, errors.New("nothing was changed")
	}
	req.Confirm, req.IfVersion = true, wants.response.Diff.Base
	err = g.call(ctx, "POST", "/admin/v1/apply", req, &done)
	return done, err
}

// explain prints every problem of the files where an editor finds it.
func explain(g *globals, err error) error {
	invalid, ok := errors.AsType[*apiError](err)
	if !ok || invalid.response.Error.Code != adminapi.CodeInvalid {
		return err
	}
	for _, p := range invalid.response.Error.Problems {
		line := fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.What)
		if p.Want != "" {
			line += "; " + p.Want
		}
		fmt.Fprintln(g.Stderr, oneLine(line))
	}
	return err
}

// printDiff prints what was changed, or would be.
func (g *globals) printDiff(done adminapi.ApplyResponse, dryRun bool) error {
	if g.json() {
		return g.document(done)
	}
	g.printChanges(g.Stdout, done.Diff)
	for _, warning := range done.Diff.Warnings {
		fmt.Fprintln(g.Stderr, "warning:", oneLine(warning))
	}
	count := map[string]int{}
	for _, c := range done.Diff.Changes {
		count[c.Op]++
	}
	summary := fmt.Sprintf("%d added, %d changed, %d removed, %d unchanged", count["added"], count["changed"], count["removed"], done.Diff.Unchanged)
	switch {
	case dryRun:
		summary += " (dry run: nothing was written)"
	case done.Diff.Version > 0:
		summary += fmt.Sprintf(", registry version %d", done.Diff.Version)
	}
	_, err := fmt.Fprintln(g.Stdout, summary)
	return err
}

// printChanges prints one line an object, one a field, one a consequence.
func (g *globals) printChanges(w io.Writer, d adminapi.Diff) {
	signs := map[string]string{"added": "+", "changed": "~", "removed": "-"}
	for _, c := range d.Changes {
		name := c.Name
		if c.Tenant != "" && c.Kind != "tenant" {
			name = c.Tenant + "/" + c.Name
		}
		mark := " "
		if c.Asks {
			mark = "!"
		}
		fmt.Fprintf(w, "%s%s %s %s\n", mark, orDefault(signs[c.Op], "?"), c.Kind, oneLine(name))
		for _, f := range c.Fields {
			if c.Op == "changed" {
				fmt.Fprintf(w, "      %s: %s → %s\n", f.Field, oneLine(orDefault(f.From, "(none)")), oneLine(orDefault(f.To, "(none)")))
			}
		}
		for _, what := range c.Consequences {
			fmt.Fprintf(w, "      ! %s\n", oneLine(what))
		}
	}
}

const (
	maxRegistryFiles = 1000
	maxRegistryBytes = 24 << 20
)

// registryFiles reads a file, a folder or standard input.
func registryFiles(from string, stdin io.Reader) ([]adminapi.File, error) {
	if from == "-" {
		data, err := io.ReadAll(io.LimitReader(stdin, maxRegistryBytes))
		return []adminapi.File{{Name: "-", Content: string(data)}}, err
	}
	info, err := os.Stat(from)
	if err != nil {
		return nil, fmt.Errorf("read registry files: %w", err)
	}
	if !info.IsDir() {
		return readFiles([]string{from})
	}
	var names []string
	err = filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := path != from && strings.HasPrefix(entry.Name(), ".")
		if hidden && entry.IsDir() {
			return filepath.SkipDir
		}
		if ext := filepath.Ext(path); !hidden && !entry.IsDir() && (ext == ".yaml" || ext == ".yml") {
			names = append(names, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read registry files: %w", err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s holds no .yaml or .yml file", from)
	}
	return readFiles(names)
}

func readFiles(names []string) ([]adminapi.File, error) {
	if len(names) > maxRegistryFiles {
		return nil, fmt.Errorf("%d registry files; at most %d are applied at once", len(names), maxRegistryFiles)
	}
	var files []adminapi.File
	total := 0
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read registry file: %w", err)
		}
		if total += len(data); total > maxRegistryBytes {
			return nil, fmt.Errorf("the registry files have more than %d MiB together", maxRegistryBytes>>20)
		}
		files = append(files, adminapi.File{Name: name, Content: string(data)})
	}
	return files, nil
}
