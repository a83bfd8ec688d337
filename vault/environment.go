package vault

import (
	"slices"
	"strings"
)

// prefix begins the variables that hold a credential.
const prefix = "SIGNALBOX_CREDENTIAL_"

// maxName is the longest name of a credential, in bytes.
const maxName = 63

// credentialName reports whether a credential can be called so: as the registry
// has it, [a-z0-9][a-z0-9._-]{0,62}. Dotfiles are none, and neither is
// Kubernetes' ..data.
func credentialName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		word := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !word && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return true
}

// variable is what follows the prefix for a credential's name: azure-weu is
// AZURE_WEU. Names that differ in "-", "." and "_" only share a variable.
func variable(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case r == '-' || r == '.':
			return '_'
		}
		return r
	}, name)
}

// environment are the credentials that variables hold, by their own part of the
// name. Of a variable that stands twice the first counts, as for os.Getenv.
func environment(env []string) (map[string]Secret, []Problem) {
	found := map[string]Secret{}
	var problems []Problem
	seen := map[string]bool{}
	for _, kv := range env {
		name, text, _ := strings.Cut(kv, "=")
		own, ours := strings.CutPrefix(name, prefix)
		if !ours || seen[name] {
			continue
		}
		seen[name] = true
		if asName := strings.ToLower(own); variable(asName) != own || !credentialName(asName) {
			problems = append(problems, Problem{Where: clip(name), What: "names no credential",
				Want: "write the credential's name in capitals, with _ for - and ., such as " + prefix + "AZURE_WEU"})
			continue
		}
		if text == "" {
			// Compose files and charts pass on what is not set as empty.
			problems = append(problems, Problem{Where: name, What: "is empty and counts as not set", Want: "set it, or leave it out", Warning: true})
			continue
		}
		secret, trouble := parseCredential([]byte(text), "set it to the credential alone")
		if trouble != (Problem{}) {
			trouble.Where = name
			problems = append(problems, trouble)
			continue
		}
		found[own] = secret
	}
	slices.SortFunc(problems, byWeight)
	return found, problems
}

// clip keeps a name of anybody's making short enough for a sentence.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
