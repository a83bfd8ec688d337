package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/signalbox-dev/signalbox/integration/fetch"
)

// oldestNode is the first Node that both SDKs support.
const oldestNode = 22

// installNode installs the SDKs, and a Node too where the machine's is too old.
func installNode(ctx context.Context, dir string, say io.Writer) error {
	_, old := systemNode(ctx)
	if old == nil {
		fmt.Fprintln(say, "sdk: the Node SDKs of OpenAI and Anthropic")
		return fetch.NPM(ctx, dir, say, "--omit=optional")
	}
	fmt.Fprintf(say, "sdk: the Node SDKs of OpenAI and Anthropic, and Node %d because %v\n", oldestNode, old)
	return fetch.NPM(ctx, dir, say)
}

// findNode is the Node that came with the pins, where one did, or the machine's.
func findNode(ctx context.Context, modules string) (string, error) {
	own, err := filepath.Glob(filepath.Join(modules, "node-*", "bin", "node"))
	if err == nil && len(own) == 1 {
		_, err = fetch.Output(ctx, "", own[0], "--version")
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
	said, err := fetch.Output(ctx, "", path, "--version")
	if err != nil {
		return "", err
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(said, "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestNode {
		return "", fmt.Errorf("this machine's is %s", said)
	}
	return path, nil
}
