package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// doctorReport is what -o json prints.
type doctorReport struct {
	Gateway  string        `json:"gateway"`
	Wired    bool          `json:"wired"`
	Probes   []probeReport `json:"probes"`
	Notes    []string      `json:"notes,omitempty"`
	Answered struct {
		MedianMS float64 `json:"median_ms"`
		MostMS   float64 `json:"most_ms"`
	} `json:"direct_answers"` // how long refusals took, through the gateway and back
}

type probeReport struct {
	Check    string  `json:"check"`
	Method   string  `json:"method"`
	Path     string  `json:"path"`
	Model    string  `json:"model,omitempty"`
	Status   int     `json:"status,omitempty"`
	Code     string  `json:"code,omitempty"`
	Decision string  `json:"decision_id,omitempty"`
	AskedAs  string  `json:"asked_as,omitempty"` // the gateway's name, by the journal
	Verdict  string  `json:"verdict"`
	Fix      string  `json:"fix,omitempty"`
	TookMS   float64 `json:"took_ms,omitempty"`
}

// printDoctor prints what was found; anything red is an error.
func (g *globals) printDoctor(gateway string, all []*doctorSeen, notes []string) error {
	report := newDoctorReport(gateway, all, notes)
	if g.json() {
		if err := g.document(report); err != nil {
			return err
		}
	} else if err := g.doctorTable(report, all); err != nil {
		return err
	}
	if !report.Wired {
		return errUnwell
	}
	return nil
}

func newDoctorReport(gateway string, all []*doctorSeen, notes []string) doctorReport {
	r := doctorReport{Gateway: gateway, Probes: []probeReport{}, Notes: notes}
	var times []time.Duration
	red, judged := false, false
	for _, s := range all {
		red = red || s.verdict.red()
		judged = judged || s.verdict.is == wired && s.check == checkCanary
		if s.verdict.is == wired {
			times = append(times, s.took)
		}
		r.Probes = append(r.Probes, probeReport{Check: string(s.check), Method: s.method, Path: s.path, Model: s.model, Status: s.status, Code: s.code,
			Decision: s.decision, AskedAs: s.gateway, Verdict: string(s.verdict.is), Fix: s.verdict.fix, TookMS: ms(s.took)})
	}
	r.Wired = judged && !red
	if !judged && !red {
		r.Notes = append(r.Notes, "no canary came as far as a decision: this gateway has no route for any judged path, or it is another one")
	}
	if len(times) > 0 {
		slices.Sort(times)
		r.Answered.MedianMS, r.Answered.MostMS = ms(times[len(times)/2]), ms(times[len(times)-1])
	}
	return r
}

func ms(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}

// doctorRow is calls that ended alike.
type doctorRow struct {
	route, asks, models, answers []string
	verdict                      verdict
	calls                        int
}

// doctorTable prints a row for calls that ended alike, and what to fix once for all
// that have it in common.
func (g *globals) doctorTable(report doctorReport, all []*doctorSeen) error {
	rows := doctorRows(all)
	cells := make([][]string, len(rows))
	for i, r := range rows {
		cells[i] = []string{few(r.route), few(r.asks), few(r.models), strings.Join(r.answers, ", "), fmt.Sprint(r.calls), string(r.verdict.is)}
	}
	if err := g.table([]string{"route", "checks", "models", "answers", "calls", "verdict"}, cells); err != nil {
		return err
	}
	for _, fix := range fixes(rows) {
		fmt.Fprintf(g.Stdout, "\n%s\n", oneLine(fix))
	}
	for _, note := range report.Notes {
		fmt.Fprintln(g.Stderr, "note:", oneLine(note))
	}
	if !report.Wired {
		return nil
	}
	_, err := fmt.Fprintf(g.Stdout, "\nwired: %d calls, none passed by%s; direct answers took %.1f ms, at most %.1f ms\n",
		len(all), askedAs(all), report.Answered.MedianMS, report.Answered.MostMS)
	return err
}

// doctorRows puts what is well on one row a route, and all unknown paths on one. What
// is red has a row for each check, because each shows another way around.
func doctorRows(all []*doctorSeen) []*doctorRow {
	var rows []*doctorRow
	at := map[string]*doctorRow{}
	for _, s := range all {
		route, asks := s.method+" "+plainPath(s.shown), string(s.check)
		if strings.HasSuffix(s.shown, " (stream)") {
			asks += " (stream)"
		}
		answer := strings.TrimSpace(fmt.Sprintf("%d %s", s.status, s.code))
		if s.err != nil {
			answer = "-"
		}
		key := fmt.Sprintf("%s|%s", s.verdict.is, route)
		switch {
		case s.verdict.red():
			key += fmt.Sprintf("|%s|%s|%s", asks, answer, s.verdict.fix)
		case s.check == checkUnknown:
			key = string(s.verdict.is) + "|unknown"
		}
		row := at[key]
		if row == nil {
			row = &doctorRow{verdict: s.verdict}
			at[key], rows = row, append(rows, row)
		}
		row.calls++
		row.route, row.asks, row.answers = with(row.route, route), with(row.asks, asks), with(row.answers, answer)
		if s.model != "" {
			row.models = with(row.models, s.model)
		}
	}
	return rows
}

func with(list []string, one string) []string {
	if slices.Contains(list, one) {
		return list
	}
	return append(list, one)
}

// few names the first and counts the others.
func few(list []string) string {
	switch len(list) {
	case 0:
		return "-"
	case 1:
		return list[0]
	}
	return fmt.Sprintf("%s and %d more", list[0], len(list)-1)
}

// fixes are the different ones, each with the verdict it belongs to.
func fixes(rows []*doctorRow) []string {
	var out []string
	for _, r := range rows {
		if said := fmt.Sprintf("%s: %s", r.verdict.is, r.verdict.fix); r.verdict.red() && !slices.Contains(out, said) {
			out = append(out, said)
		}
	}
	return out
}

// askedAs names the gateways that asked, as the journal knows them.
func askedAs(all []*doctorSeen) string {
	var names []string
	for _, s := range all {
		if s.gateway != "" && !slices.Contains(names, s.gateway) {
			names = append(names, s.gateway)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return ", asked as " + strings.Join(names, ", ")
}
