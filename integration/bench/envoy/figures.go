package main

import (
	"fmt"
	"slices"
	"strings"
)

// figures is what one row did in one round; times are in microseconds.
type figures struct {
	oneP50, oneP99       float64 // one caller
	manyP50, manyP99     float64 // many at once
	rate                 float64 // calls/s of many
	envoyCPU, serviceCPU float64 // a call, of many
	firstP50, firstP99   float64 // of streams: the first byte
	lagP50, lagP99       float64 // of streams: from a chunk's writing to its reading
}

// measures are the figures by their names in the report.
var measures = []struct {
	name, unit string
	of         func(figures) float64
}{
	{"c1_p50", "us", func(f figures) float64 { return f.oneP50 }},
	{"c1_p99", "us", func(f figures) float64 { return f.oneP99 }},
	{"many_p50", "us", func(f figures) float64 { return f.manyP50 }},
	{"many_p99", "us", func(f figures) float64 { return f.manyP99 }},
	{"rate", "calls/s", func(f figures) float64 { return f.rate }},
	{"envoy_cpu", "us/call", func(f figures) float64 { return f.envoyCPU }},
	{"service_cpu", "us/call", func(f figures) float64 { return f.serviceCPU }},
	{"first_byte_p50", "us", func(f figures) float64 { return f.firstP50 }},
	{"first_byte_p99", "us", func(f figures) float64 { return f.firstP99 }},
	{"chunk_lag_p50", "us", func(f figures) float64 { return f.lagP50 }},
	{"chunk_lag_p99", "us", func(f figures) float64 { return f.lagP99 }},
}

// report is a table of medians, and a line for each row's figures over those of the
// row below it: the no-op chain under ours, Envoy alone under both.
func report(rows []row, rounds []round) []string {
	lines := table(rows, rounds)
	for _, r := range rows {
		for _, floor := range floors(r.name) {
			if !slices.ContainsFunc(rows, func(other row) bool { return other.name == floor }) {
				continue
			}
			lines = append(lines, against(r.name, floor, rounds)...)
		}
	}
	return lines
}

// floors are what a row is measured against.
func floors(name string) []string {
	whose, mode, _ := strings.Cut(name, "_")
	switch whose {
	case "noop":
		return []string{"alone"}
	case "ours":
		return []string{"noop_" + mode, "alone"}
	}
	return nil
}

func against(name, floor string, rounds []round) []string {
	var lines []string
	for _, m := range measures {
		ours, below := medianOf(rounds, name, m.of), medianOf(rounds, floor, m.of)
		if below == 0 {
			continue // Envoy alone asks no service
		}
		var ratios []float64
		for _, r := range rounds {
			if under := m.of(r[floor]); under > 0 {
				ratios = append(ratios, m.of(r[name])/under)
			}
		}
		lines = append(lines, fmt.Sprintf("BENCH envoy_%s_%s ours=%.4g floor=%.4g ratio=%.3g unit=%s_vs_%s", name, m.name, ours, below, median(ratios), m.unit, floor))
	}
	return lines
}

// table is the medians of every row, for people.
func table(rows []row, rounds []round) []string {
	head := fmt.Sprintf("%-12s", "")
	for _, m := range measures {
		head += fmt.Sprintf(" %14s", m.name)
	}
	lines := []string{head}
	for _, r := range rows {
		line := fmt.Sprintf("%-12s", r.name)
		for _, m := range measures {
			line += fmt.Sprintf(" %14.0f", medianOf(rounds, r.name, m.of))
		}
		lines = append(lines, line)
	}
	return lines
}

func medianOf(rounds []round, name string, of func(figures) float64) float64 {
	var all []float64
	for _, r := range rounds {
		all = append(all, of(r[name]))
	}
	return median(all)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}
