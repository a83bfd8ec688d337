package xds

import (
	"time"

	"github.com/signalbox-dev/signalbox/adapters/door"
)

// Options are what an operator may say of the Envoys.
type Options struct {
	// TrustedCA is the file, on Envoy's machine, of the authorities that providers'
	// certificates are judged by where a provider has no ca_file of its own.
	TrustedCA string
	// Fallback are the deployments that take the calls that nobody decided, on routes
	// whose failure mode is open: of each dialect the first that is there; none: they
	// get 503 there too.
	Fallback []string

	Body      int64         // the largest body of a call, in bytes
	Connect   time.Duration // until a connection to a provider stands, TLS included
	FirstByte time.Duration // from a request's end until the answer's headers
	Grace     time.Duration // how long a cluster stays that nobody is sent to any more
	Nodes     int           // Envoys at once
}

// DefaultOptions are the proxy's times: the official SDKs wait ten minutes too.
func DefaultOptions() Options {
	return Options{
		// Envoy's own images and Debian keep them there.
		TrustedCA: "/etc/ssl/certs/ca-certificates.crt",
		Body:      door.DefaultBody, Connect: 10 * time.Second, FirstByte: 10 * time.Minute,
		Grace: 2 * time.Second, Nodes: 1000,
	}
}

// withDefaults fills in what was not said.
func (o Options) withDefaults() Options {
	d := DefaultOptions()
	if o.TrustedCA == "" {
		o.TrustedCA = d.TrustedCA
	}
	if o.Body <= 0 {
		o.Body = d.Body
	}
	if o.Connect <= 0 {
		o.Connect = d.Connect
	}
	if o.FirstByte <= 0 {
		o.FirstByte = d.FirstByte
	}
	if o.Grace <= 0 {
		o.Grace = d.Grace
	}
	if o.Nodes <= 0 {
		o.Nodes = d.Nodes
	}
	return o
}
