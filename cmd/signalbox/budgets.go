package main

import (
	"fmt"
	"net/url"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/adapters/http/adminapi"
)

func newBudgetsCmd(g *globals) *cobra.Command {
	var match []string
	cmd := &cobra.Command{
		Use:   "budgets",
		Short: "Show what is spent, held and left; adjust a budget; release a lost replica's holds",
		Example: `  signalbox budgets --match tenant=acme
  signalbox budgets --match budget=session-cap --match session=s-42 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			for _, m := range match {
				if name, _, ok := strings.Cut(m, "="); !ok || name == "" {
					return usagef("--match %s: want ATTRIBUTE=VALUE, such as tenant=acme", m)
				}
				query.Add("match", m)
			}
			var list adminapi.BudgetsResponse
			if err := g.call(cmd.Context(), "GET", "/admin/v1/budgets?"+query.Encode(), nil, &list); err != nil {
				return err
			}
			return g.printBudgets(list)
		},
	}
	cmd.Flags().StringArrayVar(&match, "match", nil, "ATTRIBUTE=VALUE that must hold, such as tenant=acme, user=alice or budget=NAME; several must all hold")
	cmd.AddCommand(newBudgetsAdjustCmd(g), newBudgetsReleaseCmd(g))
	return cmd
}

func (g *globals) printBudgets(list adminapi.BudgetsResponse) error {
	if g.json() {
		return g.document(list.Budgets)
	}
	var rows [][]string
	for _, b := range list.Budgets {
		rows = append(rows, budgetRow(b))
	}
	if err := g.table(budgetHeading, rows); err != nil {
		return err
	}
	if list.Truncated {
		fmt.Fprintln(g.Stderr, "there are more; narrow the list with --match")
	}
	return nil
}

var budgetHeading = []string{"budget", "tenant", "per", "unit", "limit", "spent", "held", "left", "resets_at"}

func budgetRow(b adminapi.Budget) []string {
	var per []string
	for attribute, value := range b.Per {
		per = append(per, attribute+"="+orDefault(value, "(none)"))
	}
	sort.Strings(per)
	limit := b.Limit
	if b.Adjusted != "" {
		sign := "+"
		if strings.HasPrefix(b.Adjusted, "-") {
			sign = ""
		}
		limit += " " + sign + b.Adjusted
	}
	return []string{b.Budget, orDefault(b.Tenant, "(all)"), orDefault(strings.Join(per, ","), "-"), b.Unit, limit, b.Spent, b.Held, b.Left, when(b.ResetsAt, "never")}
}

func newBudgetsAdjustCmd(g *globals) *cobra.Command {
	var req adminapi.AdjustRequest
	var per []string
	var why string
	cmd := &cobra.Command{
		Use:   "adjust NAME --add AMOUNT --why REASON",
		Short: "Give a budget more to spend in its present window, or less",
		Long: `Moves what is spent, not the limit: the next window starts as the registry file
says. NAME may be TENANT/NAME where several tenants have a budget of that name.`,
		Example: `  signalbox budgets adjust acme-month --add 50 --why "launch week, agreed with finance"
  signalbox budgets adjust acme/session-cap --per session=s-42 --add=-1 --why "test traffic"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if req.Add == "" || why == "" {
				return usagef("--add and --why are both needed; see %s --help", cmd.CommandPath())
			}
			req.By, req.Budget = by(why), args[0]
			if tenant, name, ok := strings.Cut(args[0], "/"); ok {
				req.Tenant, req.Budget = tenant, name
			}
			var err error
			if req.Per, err = parsePairs("--per", per); err != nil {
				return err
			}
			var done adminapi.AdjustResponse
			if err := g.call(cmd.Context(), "POST", "/admin/v1/budgets/adjust", req, &done); err != nil {
				return err
			}
			if g.json() {
				return g.document(done.Budget)
			}
			return g.table(budgetHeading, [][]string{budgetRow(done.Budget)})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&req.Add, "add", "", "in the budget's unit; --add=-50 takes away")
	flags.StringArrayVar(&per, "per", nil, "ATTRIBUTE=VALUE of the meter meant, for a budget with per")
	flags.StringVar(&why, "why", "", "kept with the change")
	return cmd
}

func parsePairs(flag string, given []string) (map[string]string, error) {
	if len(given) == 0 {
		return nil, nil
	}
	pairs := map[string]string{}
	for _, pair := range given {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, usagef("%s %s: want ATTRIBUTE=VALUE", flag, pair)
		}
		pairs[name] = value
	}
	return pairs, nil
}

func newBudgetsReleaseCmd(g *globals) *cobra.Command {
	var why string
	var yes bool
	cmd := &cobra.Command{
		Use:   "release EPOCH --why REASON",
		Short: "Free what a replica held whose disk is lost for good",
		Long: `What a dead replica held stays charged until its window ends, because only its own
disk knows what was spent. If that disk is gone, this frees it: what it really
spent and never reported is then charged to nobody.`,
		Example: `  signalbox budgets release 0191f3a2c4d57e8f90a1b2c3d4e5f607 --why "node-3 burnt down"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if why == "" {
				return usagef("--why is needed; see %s --help", cmd.CommandPath())
			}
			if err := g.confirm(yes, "What this replica spent and did not report will be charged to nobody. Release it?"); err != nil {
				return err
			}
			var done adminapi.ReleaseResponse
			if err := g.call(cmd.Context(), "POST", "/admin/v1/budgets/release", adminapi.ReleaseRequest{By: by(why), Epoch: args[0]}, &done); err != nil {
				return err
			}
			if g.json() {
				return g.document(done)
			}
			_, err := fmt.Fprintf(g.Stdout, "epoch %s is released\n", done.Epoch)
			return err
		},
	}
	cmd.Flags().StringVar(&why, "why", "", "kept with the change")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
