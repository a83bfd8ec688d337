#!/bin/sh
# Runs each fuzz target for FUZZTIME, one after the other: go test takes one at a
# time. What fails leaves its input in testdata/fuzz beside the target, and is run
# by go test from then on. Minimising is bounded: its default of a minute for each
# input it finds would be most of a short run.
set -eu
cd "$(dirname "$0")/.."
time=${FUZZTIME:-20s}
targets=$(grep -rnoE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' . | sed -E 's|^(.*)/[^/]*:[0-9]+:func (Fuzz.*)$|\1 \2|' | sort -u)
if [ -z "$targets" ]; then
  echo "fuzz: there is no target here" >&2
  exit 1
fi
failed=""
while read -r dir target; do
  echo "fuzz $dir $target $time"
  go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x "$dir" </dev/null || failed="$failed $dir:$target"
done <<LIST
$targets
LIST
if [ -n "$failed" ]; then
  echo "fuzz: failed:$failed" >&2
  exit 1
fi
