package grpc

import (
	"context"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/signalbox-dev/signalbox/adapters/door"
)

// Admit says which gateway calls, or why it is not let in, for the services beside
// ours: "" is one of this machine that need not prove itself.
func Admit(guard door.Guard) func(ctx context.Context) (gateway string, problem *door.Problem) {
	return func(ctx context.Context) (string, *door.Problem) {
		who, p := guard.Admit(caller(ctx))
		if p != nil {
			return "", p
		}
		return who.Name("")
	}
}

// Refused is a problem as the error that gRPC clients get, whichever service they ask.
func Refused(p *door.Problem) error { return asError(p) }

// caller is who stands at the door.
func caller(ctx context.Context) door.Peer {
	md, _ := metadata.FromIncomingContext(ctx)
	first := func(name string) string {
		if values := md.Get(name); len(values) > 0 {
			return strings.TrimSpace(values[0])
		}
		return ""
	}
	out := door.Peer{Token: first("x-signalbox-gateway-token"), Host: first(":authority"), Origin: first("origin")}
	p, ok := peer.FromContext(ctx)
	if !ok {
		return out
	}
	if p.Addr != nil {
		out.Local = door.IsLocal(p.Addr.String()) || p.Addr.Network() == "unix"
	}
	// Only verified chains count: a server that merely asks for certificates gets
	// them from anybody.
	if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.VerifiedChains) > 0 && len(info.State.PeerCertificates) > 0 {
		out.Certificate = info.State.PeerCertificates[0]
	}
	return out
}
