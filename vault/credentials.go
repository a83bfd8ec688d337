package vault

import (
	"context"
	"log/slog"
)

// Credentials are the providers' credentials: one file each in a folder that is
// watched, or the environment's SIGNALBOX_CREDENTIAL_<NAME>.
type Credentials struct{}

// OpenCredentials reads the folder once. A folder that is not there is empty.
func OpenCredentials(dir string, env []string, log *slog.Logger) (*Credentials, error) {
	return &Credentials{}, nil
}

// Run takes up changes of the folder. It ends with ctx.
func (c *Credentials) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Credential is the secret of a name, as it is now.
func (c *Credentials) Credential(name string) (Secret, bool) { return Secret{}, false }
