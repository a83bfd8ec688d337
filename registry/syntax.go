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
