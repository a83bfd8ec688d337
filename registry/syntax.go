package registry

// maxName is the longest name, in bytes.
const maxName = 63

// validName reports whether s is [a-z0-9][a-z0-9._-]{0,62}: what tenants, teams,
// apps, providers, deployments, budgets, gateways, regions and tags are called.
func validName(s string) bool {
	if s == "" || len(s) > maxName || !lowerOrDigit(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !lowerOrDigit(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func lowerOrDigit(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// printable reports whether s is valid UTF-8 without control characters. What
// passes can stand in a log line, a header and a meter's name.
func printable(s string) bool {
	for _, c := range s {
		if c < 0x20 || 0x7f <= c && c < 0xa0 || c == 0xfffd || c == 0x2028 || c == 0x2029 || c == 0xfeff {
			return false
		}
	}
	return true
}

// maxModelName is the longest public name of a model, in bytes.
const maxModelName = 127

// validModelName reports whether s can be a model's public name. Callers and SDKs
// bring these with them ("meta-llama/Llama-3.3-70B", "gpt-4o:extended"), so they
// may hold more than other names; never what changes a URL path's meaning.
func validModelName(s string) bool {
	if s == "" || len(s) > maxModelName || !lowerOrDigit(lower(s[0])) || !lowerOrDigit(lower(s[len(s)-1])) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		slash := c == '/' && s[i-1] != '/' && s[i-1] != '.' && s[i+1] != '.'
		if !slash && !lowerOrDigit(lower(c)) && c != '.' && c != '_' && c != '-' && c != ':' && c != '@' {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
