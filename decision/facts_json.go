package decision

import (
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"
)

// appendJSON writes the facts as encoding/json writes them, which a test holds.
// Every decision is journaled with its facts, and reflection was a tenth of it.
func (f *Facts) appendJSON(b []byte) []byte {
	p, r := &f.Principal, &f.Request
	b = appendQuoted(append(b, `{"principal":{"tenant":`...), p.Tenant)
	b = appendQuoted(append(b, `,"team":`...), p.Team)
	b = appendQuoted(append(b, `,"app":`...), p.App)
	b = appendQuoted(append(b, `,"key":`...), p.Key)
	b = appendQuoted(append(b, `,"user":`...), p.User)
	b = appendQuoted(append(b, `,"session":`...), p.Session)
	b = appendQuoted(append(b, `,"agent":`...), p.Agent)
	b = appendTags(append(b, `,"tags":`...), p.Tags)
	b = appendTexts(append(b, `},"tenant":{"regions":`...), f.Tenant.Regions)
	b = appendTexts(append(b, `},"app":{"models":`...), f.App.Models)
	b = appendQuoted(append(b, `},"request":{"dialect":`...), r.Dialect)
	b = appendQuoted(append(b, `,"endpoint":`...), r.Endpoint)
	b = appendQuoted(append(b, `,"method":`...), r.Method)
	b = appendQuoted(append(b, `,"path":`...), r.Path)
	b = strconv.AppendBool(append(b, `,"stream":`...), r.Stream)
	b = appendNumber(append(b, `,"tools":`...), r.Tools)
	b = appendNumber(append(b, `,"images":`...), r.Images)
	b = appendNumber(append(b, `,"files":`...), r.Files)
	b = strconv.AppendBool(append(b, `,"token_ids":`...), r.TokenIDs)
	b = appendQuoted(append(b, `,"size_band":`...), r.SizeBand)
	b = strconv.AppendInt(append(b, `,"max_output":`...), r.MaxOutput, 10)
	b = appendQuoted(append(b, `},"model":{"name":`...), f.Model.Name)
	b = appendList(append(b, `},"deployments":`...), f.Deployments, (*DeploymentFacts).appendJSON)
	b = appendList(append(b, `,"findings":`...), f.Findings, (*FindingFacts).appendJSON)
	b = appendNumber(append(b, `,"time":{"hour":`...), f.Time.Hour)
	b = appendQuoted(append(b, `,"weekday":`...), f.Time.Weekday)
	b = appendQuoted(append(b, `,"date":`...), f.Time.Date)
	b = appendQuoted(append(b, `},"gateway":`...), f.Gateway)
	return append(b, '}')
}

func (d *DeploymentFacts) appendJSON(b []byte) []byte {
	b = appendQuoted(append(b, `{"name":`...), d.Name)
	b = appendQuoted(append(b, `,"provider":`...), d.Provider)
	b = appendQuoted(append(b, `,"kind":`...), d.Kind)
	b = appendQuoted(append(b, `,"region":`...), d.Region)
	b = appendNumber(append(b, `,"price_rank":`...), d.PriceRank)
	b = strconv.AppendBool(append(b, `,"priced":`...), d.Priced)
	b = strconv.AppendBool(append(b, `,"healthy":`...), d.Healthy)
	return append(b, '}')
}

func (f *FindingFacts) appendJSON(b []byte) []byte {
	b = appendQuoted(append(b, `{"kind":`...), f.Kind)
	b = appendNumber(append(b, `,"count":`...), f.Count)
	return append(b, '}')
}

func appendNumber(b []byte, n int) []byte { return strconv.AppendInt(b, int64(n), 10) }

func appendTexts(b []byte, texts []string) []byte {
	return appendList(b, texts, func(s *string, b []byte) []byte { return appendQuoted(b, *s) })
}

func appendList[T any](b []byte, list []T, one func(*T, []byte) []byte) []byte {
	if list == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(&list[i], b)
	}
	return append(b, ']')
}

func appendTags(b []byte, tags map[string]string) []byte {
	if tags == nil {
		return append(b, "null"...)
	}
	var room [16]string // enough for most calls
	names := room[:0]
	for name := range tags {
		names = append(names, name)
	}
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendQuoted(b, name), ':')
		b = appendQuoted(b, tags[name])
	}
	return append(b, '}')
}

// appendQuoted quotes plain text by itself and leaves the rest, which is rare, to
// the library.
func appendQuoted(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic("decision: facts: " + err.Error()) // a string always marshals
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
