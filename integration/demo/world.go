package main

import _ "embed"

// world is the registry file of the demo: two tenants, a provisioned deployment
// that fills up, a session cap, a loop budget, and one dollar.
//
//go:embed world.yaml
var world string

// apps are those that get a key.
var apps = []string{"acme/helpdesk", "acme/billing", "globex/notebook", "globex/crawler"}

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
	"globex/crawler": {
		"List every link on the page and decide which to visit next.",
	},
}
