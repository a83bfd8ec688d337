package main

import (
	_ "embed"
	"strings"

	"github.com/signalbox-dev/signalbox/journal"
)

// world is the registry file of the demo: two tenants, three providers in two
// dialects, a provisioned deployment that fills up, a session's cap, and one dollar.
//
//go:embed world.yaml
var world string

// worldAt is the world with its providers at this address.
func worldAt(url string) string { return strings.ReplaceAll(world, "{{.}}", url) }

// policy is what this company adds to the default policy.
const policy = `package signalbox.decision.custom

redact contains "email" if input.principal.tenant == "acme"
`

// apps are those that get a key.
var apps = []string{"acme/helpdesk", "acme/billing", "globex/notebook", "globex/crawler"}

// charges are the budgets that every call of the demo is charged to once.
var charges = []string{"acme-month", "globex-total", "crawler-month"}

// The providers' credentials, as Signalbox is given them and as the provider
// expects to see them.
var (
	secrets = []string{
		"SIGNALBOX_CREDENTIAL_AZURE_WEU=azure-0a1b2c3d4e5f", "SIGNALBOX_CREDENTIAL_OPENAI=sk-proj-0a1b2c3d4e5f",
		"SIGNALBOX_CREDENTIAL_ANTHROPIC=sk-ant-api03-0a1b2c3d4e5f",
	}
	accepted = map[string]bool{"azure-0a1b2c3d4e5f": true, "Bearer sk-proj-0a1b2c3d4e5f": true, "sk-ant-api03-0a1b2c3d4e5f": true}
)

// price is nano-USD for a million tokens.
type price struct{ input, cached, write, writeLong, output int64 }

const cent = 10_000_000 // in nano-USD

// sold is the provider's own price list, by the names it knows its models by. The
// provisioned one is paid by the hour.
var sold = map[string]price{
	"gpt-4o-prod":       {},
	"gpt-4o-std":        {input: 250 * cent, cached: 125 * cent, write: 250 * cent, writeLong: 250 * cent, output: 1000 * cent},
	"gpt-4o-mini":       {input: 15 * cent, cached: 15 * cent / 2, write: 15 * cent, writeLong: 15 * cent, output: 60 * cent},
	"gpt-41-weu":        {input: 200 * cent, cached: 50 * cent, write: 200 * cent, writeLong: 200 * cent, output: 800 * cent},
	"gpt-4.1":           {input: 200 * cent, cached: 50 * cent, write: 200 * cent, writeLong: 200 * cent, output: 800 * cent},
	"claude-sonnet-4-5": {input: 300 * cent, cached: 30 * cent, write: 375 * cent, writeLong: 600 * cent, output: 1500 * cent},
}

// of is what one call costs, in nano-USD, rounded up once.
func (p price) of(t journal.Tokens) int64 {
	plain := t.Input - t.Cached - t.CacheWrite - t.CacheWriteLong
	sum := plain*p.input + t.Cached*p.cached + t.CacheWrite*p.write + t.CacheWriteLong*p.writeLong + t.Output*p.output
	return (sum + 999_999) / 1_000_000
}

// prompts are what people ask such apps.
var prompts = map[string][]string{
	"acme/helpdesk": {
		"A customer in Utrecht says the parcel tracked as delivered never arrived. Draft a reply that apologises, asks for the door photo and offers a refund after two working days.",
		"Summarise this thread in three bullet points for the handover to the evening shift, with the order number and what was promised.",
		"Translate the return policy into plain German for a customer who is not a lawyer. Keep the 14 days and the original packaging.",
		"Classify this message as billing, delivery, product or other, and say how angry the customer is from 1 to 5: 'Third time I write. Where is my money?'",
	},
	"acme/billing": {
		"Explain to the customer why invoice 2026-0417 has two tax rates, and which line items each applies to.",
		"Which of these five payments match the open invoices? Answer as a table of invoice, payment, difference.",
	},
	"globex/notebook": {
		"Write a pandas function that resamples irregular sensor readings to one minute, forward fills at most five minutes and flags longer gaps.",
		"Why does this loop get slower with every iteration? Suggest a vectorised version and estimate the speed-up for a million rows.",
		"Draft the methods section: we fine-tuned on 12,000 labelled images, 5-fold cross-validation, early stopping on macro F1.",
	},
}
