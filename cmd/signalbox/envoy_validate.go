package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/adapters/envoy/config"
)

func newEnvoyValidateCmd(stdin io.Reader, stdout, stderr io.Writer) *cobra.Command {
	var envoy string
	cmd := &cobra.Command{
		Use:   "validate FILE",
		Short: "Check an Envoy's configuration: by Envoy itself, and for what Envoy does not say",
		Long: `validate has the envoy of this machine load a bootstrap, or what filter printed,
and looks for settings that load without a word and then hurt. FILE is YAML or
JSON; - is standard input. It ends with 1 where something is wrong.

Envoy is --envoy, or ENVOY_BIN, or the one in PATH. Files and variables that the
configuration names must be there. What comes by xds is not in it: signalbox envoy status shows
what a running Envoy says of that.`,
		Example: `  signalbox envoy validate envoy.yaml
  signalbox envoy filter --mode ext_authz | signalbox envoy validate - --envoy /usr/local/bin/envoy`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readConfig(stdin, args[0])
			if err != nil {
				return err
			}
			wrong := printProblems(stdout, args[0], config.Check(text))
			binary, err := findEnvoy(envoy)
			if err != nil {
				return err
			}
			if binary == "" {
				fmt.Fprintln(stderr, "CAUTION: there is no envoy here (--envoy, ENVOY_BIN, PATH): nobody has tried whether it loads")
			} else if refusal, err := loads(cmd.Context(), binary, text); err != nil {
				return err
			} else if refusal != "" {
				wrong++
				fmt.Fprintf(stdout, "%s: envoy does not load it: %s\n", args[0], refusal)
			}
			if wrong > 0 {
				return fmt.Errorf("%s: wrong in %d places", args[0], wrong)
			}
			if binary != "" {
				fmt.Fprintf(stdout, "%s: %s loads it\n", args[0], binary)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&envoy, "envoy", "", "envoy's program (ENVOY_BIN)")
	return cmd
}

// maxEnvoyConfig is above what Check reads, so that it says so itself.
const maxEnvoyConfig = 9 << 20

func readConfig(stdin io.Reader, name string) ([]byte, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read the configuration: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxEnvoyConfig))
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return text, nil
}

// printProblems prints each where an editor finds it, and counts what is wrong.
func printProblems(w io.Writer, name string, problems []config.Problem) (wrong int) {
	for _, p := range problems {
		if p.Level == config.Wrong {
			wrong++
		}
		fmt.Fprintf(w, "%s:%d: %s: %s\n    %s\n", name, p.Line, p.Level, oneLine(p.What), oneLine(p.Fix))
	}
	return wrong
}

// findEnvoy is a program; "": there is none, and none was named.
func findEnvoy(named string) (string, error) {
	if named = orDefault(named, os.Getenv("ENVOY_BIN")); named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("the envoy that was named: %w", err)
		}
		return path, nil
	}
	path, err := exec.LookPath("envoy")
	if err != nil {
		return "", nil
	}
	return path, nil
}

// loadTime is far above what a binary takes for any file.
const loadTime = time.Minute

// loads has Envoy judge a configuration, with what is around a snippet. refusal is
// why not; "": it loads.
func loads(ctx context.Context, binary string, text []byte) (refusal string, err error) {
	whole, err := config.Whole(text)
	if err != nil {
		return err.Error(), nil
	}
	dir, err := os.MkdirTemp("", "signalbox-envoy-")
	if err != nil {
		return "", fmt.Errorf("make room for the configuration: %w", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "envoy.yaml")
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		return "", fmt.Errorf("write the configuration: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	said := &lastBytes{most: 8 << 10}
	cmd := exec.CommandContext(ctx, binary, "--mode", "validate", "-c", file, "--disable-hot-restart", "--log-level", "error")
	cmd.Stdout, cmd.Stderr = said, said
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("envoy took more than %v", loadTime)
	case !errors.As(err, &exit):
		return "", fmt.Errorf("start envoy: %w", err)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return fmt.Sprintf("it crashed (%v); a static cluster whose secret comes by ADS, or is not there, does that", status.Signal()), nil
	}
	return string(bytes.TrimSpace(said.kept)), nil
}

// lastBytes keeps the end of what is written to it: the reason stands there.
type lastBytes struct {
	most int
	kept []byte
}

func (l *lastBytes) Write(p []byte) (int, error) {
	l.kept = append(l.kept, p...)
	l.kept = l.kept[max(0, len(l.kept)-l.most):]
	return len(p), nil
}
