package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// used is CPU time in microseconds.
type used struct{ envoy, service float64 }

func usedBy(r row) (used, error) {
	envoy, err := cpu(r.envoy)
	service, err2 := cpu(r.service)
	return used{envoy, service}, errors.Join(err, err2)
}

// tick is what /proc counts in: USER_HZ, which is 100 on every Linux that Go runs on.
const tick = 10_000

// cpu is a process's user and system time so far.
func cpu(pid int) (float64, error) {
	if pid == 0 {
		return 0, nil
	}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name stands in brackets and may hold anything; the 14th and 15th field follow.
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	const user, system = 14 - 3, 15 - 3
	if len(fields) <= system {
		return 0, fmt.Errorf("read the CPU time of process %d: %q", pid, raw)
	}
	u, err := strconv.ParseFloat(string(fields[user]), 64)
	s, err2 := strconv.ParseFloat(string(fields[system]), 64)
	return (u + s) * tick, errors.Join(err, err2)
}
