// Package rig runs the real binary for tests and for the demo: a process of its
// own with a folder of its own, spoken to as gateways and operators speak to it,
// and killed as machines kill it.
//
// Start at rig.go; client.go is the gateway's side, operator.go the operator's.
// Tests take their boxes from rigtest.
package rig
