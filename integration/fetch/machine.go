package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Venv is where Pip makes its virtual environment, below a thing's folder.
const Venv = "venv"

// Pip makes a virtual environment in a folder, with what requirements.txt there pins.
func Pip(ctx context.Context, dir string, say io.Writer) error {
	// ensurepip is what bare Debian leaves out of venv.
	const able = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
	if _, err := Output(ctx, "", "python3", "-c", able); err != nil {
		if err := packages(ctx, say, "python3", "python3-venv"); err != nil {
			return fmt.Errorf("python3 (3.11 or newer) with its venv module is missing: %w", err)
		}
	}
	venv := filepath.Join(dir, Venv)
	if _, err := Output(ctx, dir, "python3", "-m", "venv", "--clear", venv); err != nil {
		return err
	}
	_, err := Output(ctx, dir, filepath.Join(venv, "bin", "python"), "-m", "pip", "install", "--quiet", "--no-input",
		"--disable-pip-version-check", "--require-hashes", "-r", filepath.Join(dir, "requirements.txt"))
	return err
}

// NPM installs what package-lock.json in a folder pins. Scripts of what is installed
// do not run: nothing here needs what they do.
func NPM(ctx context.Context, dir string, say io.Writer, args ...string) error {
	if _, err := exec.LookPath("npm"); err != nil {
		if err := packages(ctx, say, "npm"); err != nil {
			return fmt.Errorf("npm is missing: %w", err)
		}
	}
	args = append([]string{"ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"}, args...)
	_, err := Output(ctx, dir, "npm", args...)
	return err
}

// packages installs what the machine lacks where that is possible, and otherwise
// says what to install.
func packages(ctx context.Context, say io.Writer, names ...string) error {
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("install %s, for instance by apt-get install %[1]s", strings.Join(names, " "))
	}
	fmt.Fprintln(say, "fetch: apt-get install", strings.Join(names, " "))
	if _, err := Output(ctx, "", apt, "update", "-qq"); err != nil {
		return err
	}
	_, err = Output(ctx, "", apt, append([]string{"install", "-y", "-qq"}, names...)...)
	return err
}

// Output runs a command and gives what it printed; what it complained about is part
// of its error.
func Output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "PYTHONDONTWRITEBYTECODE=1")
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(complaints.String())
		return "", fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, text[max(0, len(text)-4<<10):])
	}
	return strings.TrimSpace(out.String()), nil
}

// FirstThatRuns is the one of several programs that starts: a package for several
// platforms holds those of others too. It is asked for its version, in an
// environment with nothing in it of the process that asks.
func FirstThatRuns(ctx context.Context, pattern string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	problem := errors.New("there is no program for this machine")
	for _, path := range found {
		cmd := exec.CommandContext(ctx, path, "--version")
		cmd.Env = []string{"HOME=" + os.TempDir(), "PATH=" + os.Getenv("PATH")}
		if out, err := cmd.CombinedOutput(); err != nil {
			problem = fmt.Errorf("%s --version: %w: %s", path, err, bytes.TrimSpace(out))
			continue
		}
		return path, nil
	}
	return "", problem
}
