package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
)

const (
	// journalWait is how long decisions may take to be seen by SQL.
	journalWait = 20 * time.Second
	// journalPause stands between two questions.
	journalPause = 200 * time.Millisecond
	// journalIDs bounds one question.
	journalIDs = 500
)

// decisionID is what a decision's id may look like. It comes from a gateway that may
// not be ours, and goes into a query.
var decisionID = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)

// journaled is a decision as the journal behind --url has it.
type journaled struct{ app, gateway string }

// lookThrough looks each decision up, because anybody can write a header. What the
// journal does not know was decided elsewhere; notes say what could not be looked up.
func (g *globals) lookThrough(ctx context.Context, c *canary, all []*doctorSeen, now func() time.Time) (notes []string) {
	known, err := g.known(ctx, all, now)
	if err != nil {
		notes = append(notes, fmt.Sprintf("decisions were not looked up in the journal: %s", oneLine(err.Error())))
	}
	// Where it is our service that answers, as the budget's name proves, and nothing is
	// found, the journal is read late.
	late := len(known) == 0 && slices.ContainsFunc(all, func(s *doctorSeen) bool { return s.budget == c.budget })
	unseen := 0
	for _, s := range all {
		switch {
		case s.decision == "" || s.verdict.is == passedBy:
		case known[s.decision] != (journaled{}):
			s.gateway = known[s.decision].gateway
		case s.budget == c.budget: // no other service knows this name
			unseen++
		case err != nil || late:
			unseen++
		default:
			s.verdict = verdict{stranger, fixStranger}
		}
	}
	if unseen > 0 && err == nil {
		notes = append(notes, fmt.Sprintf("%d decisions were not in the journal within %s: analytics is behind", unseen, journalWait))
	}
	return notes
}

// known asks until every decision is there, or the time is over. The engine may still
// be starting, so an error is one only then; except where there is none.
func (g *globals) known(ctx context.Context, all []*doctorSeen, now func() time.Time) (map[string]journaled, error) {
	known, missing := map[string]journaled{}, map[string]bool{}
	for _, s := range all {
		if s.verdict.is != passedBy && decisionID.MatchString(s.decision) {
			missing[s.decision] = true
		}
	}
	for began := now(); len(missing) > 0; {
		err := g.lookUp(ctx, known, missing)
		refused, _ := errors.AsType[*apiError](err)
		without := refused != nil && refused.response.Error.Code == "analytics_missing"
		if len(missing) == 0 || without || now().Sub(began) > journalWait {
			return known, err
		}
		select {
		case <-ctx.Done():
			return known, ctx.Err()
		case <-time.After(journalPause):
		}
	}
	return known, nil
}

// lookUp moves what the journal knows from missing to known.
func (g *globals) lookUp(ctx context.Context, known map[string]journaled, missing map[string]bool) error {
	var ids []string
	for id := range missing {
		ids = append(ids, "'"+id+"'")
	}
	for len(ids) > 0 {
		n := min(len(ids), journalIDs)
		rows, err := g.rows(ctx, "SELECT decision_id, app, gateway FROM decisions WHERE decision_id IN ("+strings.Join(ids[:n], ",")+")")
		if err != nil {
			return err
		}
		for _, row := range rows {
			if len(row) != 3 {
				return errors.New("the journal answered something that cannot be read")
			}
			id := fmt.Sprint(row[0])
			known[id] = journaled{app: fmt.Sprint(row[1]), gateway: orDefault(fmt.Sprint(row[2]), "(no name)")}
			delete(missing, id)
		}
		ids = ids[n:]
	}
	return nil
}

// rows asks one question of SQL, for a few rows.
func (g *globals) rows(ctx context.Context, query string) ([][]any, error) {
	ctx, cancel := context.WithTimeout(ctx, journalWait)
	defer cancel()
	res, err := g.send(ctx, http.MethodPost, "/admin/v1/sql", adminapi.SQLRequest{Query: query}, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if err := refused(res); err != nil {
		return nil, err
	}
	var rows [][]any
	for lines := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)); ; {
		var line adminapi.SQLLine
		if err := lines.Decode(&line); err != nil {
			return nil, errors.New("the answer to a query was cut short")
		}
		switch {
		case line.Error != nil:
			return nil, errors.New(line.Error.Message)
		case line.Rows != nil:
			return rows, nil
		case line.Row != nil:
			rows = append(rows, line.Row)
		}
	}
}
