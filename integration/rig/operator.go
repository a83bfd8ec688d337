package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Run is one command of the binary, as an operator types it.
func (b *Box) Run(ctx context.Context, args ...string) (string, error) {
	done, err := b.Command(ctx, args...)
	if err == nil && done.Exit != 0 {
		err = fmt.Errorf("signalbox %s: exit status %d: %s", strings.Join(args, " "), done.Exit, strings.TrimSpace(done.Stderr))
	}
	return done.Stdout, err
}

// Done is what a command left: what it printed, and its exit status.
type Done struct {
	Stdout, Stderr string
	Exit           int
}

// Command is Run for commands that are expected to fail: an exit status is no
// error.
func (b *Box) Command(ctx context.Context, args ...string) (Done, error) {
	cmd := exec.CommandContext(ctx, b.Bin, args...)
	cmd.Env = append(os.Environ(), "SIGNALBOX_URL="+b.operators(), "SIGNALBOX_TOKEN="+b.Token)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		err = nil
	}
	return Done{out.String(), errs.String(), cmd.ProcessState.ExitCode()}, err
}

// Apply writes a registry file and applies it; flags are more of apply's.
func (b *Box) Apply(ctx context.Context, registry string, flags ...string) error {
	file := filepath.Join(b.Dir, "registry.yaml")
	if err := os.WriteFile(file, []byte(registry), 0o644); err != nil {
		return err
	}
	_, err := b.Run(ctx, append([]string{"apply", "-f", file, "--yes"}, flags...)...)
	return err
}

// CreateKey makes an app's key and gives its secret.
func (b *Box) CreateKey(ctx context.Context, app string) (string, error) {
	_, secret, err := b.NewKey(ctx, app)
	return secret, err
}

// NewKey makes an app's key.
func (b *Box) NewKey(ctx context.Context, app string) (id, secret string, err error) {
	return b.create(ctx, "--app", app)
}

// NewGatewayToken makes a gateway's token.
func (b *Box) NewGatewayToken(ctx context.Context, gateway string) (secret string, err error) {
	_, secret, err = b.create(ctx, "--gateway", gateway)
	return secret, err
}

func (b *Box) create(ctx context.Context, whose ...string) (id, secret string, err error) {
	out, err := b.Run(ctx, append([]string{"keys", "create", "-o", "json"}, whose...)...)
	if err != nil {
		return "", "", err
	}
	var made struct {
		Key    struct{ ID string }
		Secret string
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		return "", "", fmt.Errorf("keys create: %w: %s", err, out)
	}
	return made.Key.ID, made.Secret, nil
}

// Budget is one row of `signalbox budgets`.
type Budget struct {
	Budget, Tenant, Unit, Limit, Spent, Held, Left string
	Per                                            any
}

// Budgets lists them.
func (b *Box) Budgets(ctx context.Context, match string) ([]Budget, error) {
	args := []string{"budgets", "-o", "json"}
	if match != "" {
		args = append(args, "--match", match)
	}
	out, err := b.Run(ctx, args...)
	if err != nil {
		return nil, err
	}
	var rows []Budget
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		return nil, fmt.Errorf("budgets: %w: %s", err, out)
	}
	return rows, nil
}

// SQL asks ClickHouse, and gives rows of text.
func (b *Box) SQL(ctx context.Context, query string) ([]map[string]any, error) {
	out, err := b.Run(ctx, "sql", "-o", "json", query)
	if err != nil {
		return nil, err
	}
	var rows []map[string]any
	dec := json.NewDecoder(strings.NewReader(out))
	dec.UseNumber()
	if err := dec.Decode(&rows); err != nil {
		return nil, fmt.Errorf("sql: %w: %s", err, out)
	}
	return rows, nil
}
