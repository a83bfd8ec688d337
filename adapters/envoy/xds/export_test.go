package xds

// FailChecks makes every configuration after this one fail its check with err; nil:
// no more.
func (s *Server) FailChecks(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.check = Check
	if err != nil {
		s.check = func(Resources, func(string) bool) error { return err }
	}
}

// Renew builds now, as Run does when something has changed.
func (s *Server) Renew() { s.renew() }

// UpstreamLua is the script of every cluster.
var UpstreamLua = upstreamLua

// SecretName is a credential's, as clusters name it.
var SecretName = secretName
