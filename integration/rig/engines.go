package rig

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Engines lists the analytics engines that work in the box's folder, whoever
// their parent is: an engine that outlives its parent would hold the folder.
func (b *Box) Engines() ([]int, error) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	var engines []int
	for _, line := range lines {
		raw, err := os.ReadFile(line)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// A process that ended and was not waited for has an empty command line.
		if !bytes.Contains(raw, []byte("\x00engine\x00serve\x00")) || !bytes.Contains(raw, []byte("\x00"+b.Data()+"/")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(line)))
		if err != nil {
			return nil, err
		}
		engines = append(engines, pid)
	}
	return engines, nil
}
