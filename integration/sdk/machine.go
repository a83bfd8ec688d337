package sdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// oldestNode is the first Node that both SDKs support.
const oldestNode = 22

func installPython(ctx context.Context, dir string, say io.Writer) error {
	// ensurepip is what bare Debian leaves out of venv.
	const able = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
	if _, err := output(ctx, "", "python3", "-c", able); err != nil {
		if err := packages(ctx, say, "python3", "python3-venv"); err != nil {
			return fmt.Errorf("python3 (3.11 or newer) with its venv module is missing: %w", err)
		}
	}
	fmt.Fprintln(say, "sdk: a virtual environment with the Python SDKs of OpenAI and Anthropic")
	venv := filepath.Join(dir, "venv")
	if _, err := output(ctx, dir, "python3", "-m", "venv", "--clear", venv); err != nil {
		return err
	}
	_, err := output(ctx, dir, filepath.Join(venv, "bin", "python"), "-m", "pip", "install", "--quiet", "--no-input",
		"--disable-pip-version-check", "--require-hashes", "-r", filepath.Join(dir, "requirements.txt"))
	return err
}

func installNode(ctx context.Context, dir string, say io.Writer) error {
	if _, err := exec.LookPath("npm"); err != nil {
		if err := packages(ctx, say, "npm"); err != nil {
			return fmt.Errorf("npm is missing: %w", err)
		}
	}
	args := []string{"ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"}
	what := "sdk: the Node SDKs of OpenAI and Anthropic"
	if _, err := systemNode(ctx); err == nil {
		args = append(args, "--omit=optional")
	} else {
		what += fmt.Sprintf(", and Node %d because %v", oldestNode, err)
	}
	fmt.Fprintln(say, what)
	_, err := output(ctx, dir, "npm", args...)
	return err
}

// findNode is the Node that came with the pins, where one did, or the machine's.
func findNode(ctx context.Context, modules string) (string, error) {
	own, err := filepath.Glob(filepath.Join(modules, "node-*", "bin", "node"))
	if err == nil && len(own) == 1 {
		_, err = output(ctx, "", own[0], "--version")
		return own[0], err
	}
	return systemNode(ctx)
}

// systemNode is the machine's, if the SDKs support it.
func systemNode(ctx context.Context) (string, error) {
	path, err := exec.LookPath("node")
	if err != nil {
		return "", errors.New("this machine has none")
	}
	said, err := output(ctx, "", path, "--version")
	if err != nil {
		return "", err
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(said, "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestNode {
		return "", fmt.Errorf("this machine's is %s", said)
	}
	return path, nil
}

// packages installs what the machine lacks where that is possible, and otherwise
// says what to install.
func packages(ctx context.Context, say io.Writer, names ...string) error {
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("install %s, for instance by apt-get install %[1]s", strings.Join(names, " "))
	}
	fmt.Fprintln(say, "sdk: apt-get install", strings.Join(names, " "))
	if _, err := output(ctx, "", apt, "update", "-qq"); err != nil {
		return err
	}
	_, err = output(ctx, "", apt, append([]string{"install", "-y", "-qq"}, names...)...)
	return err
}

// output runs a command and gives what it printed; what it complained about is
// part of its error.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
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
