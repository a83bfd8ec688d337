package vault

import "time"

// Pace sets how often the folder is read and how long it must rest, before Run.
func (c *Credentials) Pace(poll, settle time.Duration) { c.poll, c.settle = poll, settle }

// Look reads the folder once as Run does; rest happens where Run would wait.
func (c *Credentials) Look(rest func()) { c.look(func() bool { rest(); return true }) }

// CredentialName is what may be a credential's name.
var CredentialName = credentialName
