// Package config writes what an Envoy is started with, and reads what somebody has
// written for one.
//
// Bootstrap is a whole Envoy whose routes, clusters and credentials come from xds;
// Filter is what somebody adds to an Envoy of their own. Both are text that people
// read: templates with comments, in templates/. Check looks for the settings that
// load without a word and then hurt.
//
// It refuses to start an Envoy, to ask one, and to read anybody's credential: what
// it prints names files and variables, and never holds what is in them. Open
// options.go first, then templates/.
package config
