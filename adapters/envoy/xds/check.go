package xds

import (
	"errors"
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	groupv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/router/cluster_specifiers/priority_group/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/signalbox-dev/signalbox/adapters/envoy"
)

// Check says whether resources are whole, before an Envoy sees them: one secret that a
// cluster names and that is not there keeps every listener of an Envoy closed, and
// holds back all later clusters of one that runs. approved says which deployments the
// registry has; nobody may reach another.
func Check(r Resources, approved func(deployment string) bool) error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	read := &reader{wrong: wrong, seen: map[string]bool{}}

	secrets, named := map[string]bool{}, map[string]bool{}
	for _, s := range r.Secrets {
		if secrets[s.Name] {
			wrong("secret %s is there twice", s.Name)
		}
		secrets[s.Name] = true
		if s.GetGenericSecret().GetSecret().GetInlineString() == "" {
			wrong("secret %s is empty", s.Name)
		}
	}
	clusters := map[string]bool{}
	for _, c := range r.Clusters {
		if clusters[c.Name] {
			wrong("cluster %s is there twice", c.Name)
		}
		clusters[c.Name] = true
		checkCluster(c, approved, wrong)
		read.each(c, func(m proto.Message) {
			if sds, ok := m.(*tlsv3.SdsSecretConfig); ok {
				named[sds.Name] = true
				if !secrets[sds.Name] {
					wrong("cluster %s names the secret %s, which is not there", c.Name, sds.Name)
				}
			}
		})
	}
	for name := range secrets {
		if !named[name] {
			wrong("secret %s is named by no cluster: nobody needs it there", name)
		}
	}
	for _, c := range r.Routes {
		checkRoutes(c, clusters, read)
	}
	return errors.Join(problems...)
}

// checkCluster holds that a cluster is an approved deployment's, or leads nowhere, and
// that what goes to it passes the filters that it must.
func checkCluster(c *clusterv3.Cluster, approved func(string) bool, wrong func(string, ...any)) {
	deployment, ours := envoy.Deployment(c.Name)
	switch {
	case c.Name == denyCluster && len(c.GetLoadAssignment().GetEndpoints()) > 0:
		wrong("cluster %s leads somewhere", c.Name)
	case c.Name == denyCluster:
		return
	case !ours || !approved(deployment):
		wrong("cluster %s is of no deployment of the registry", c.Name)
	}
	if c.TypedExtensionProtocolOptions[keyHTTP] == nil {
		wrong("cluster %s has no filters: the caller's key would go to the provider", c.Name)
	}
}

// checkRoutes holds that routes lead to clusters that are there, and that what no
// route is for is refused.
func checkRoutes(c *routev3.RouteConfiguration, clusters map[string]bool, read *reader) {
	read.each(c, func(m proto.Message) {
		if group, ok := m.(*groupv3.PriorityGroup); ok {
			for _, to := range group.Clusters {
				if !clusters[to.ClusterName] {
					read.wrong("routes %s lead to the cluster %s, which is not there", c.Name, to.ClusterName)
				}
			}
		}
	})
	for _, host := range c.VirtualHosts {
		last := len(host.Routes) - 1
		if last < 0 || host.Routes[last].GetDirectResponse() == nil || host.Routes[last].GetMatch().GetPrefix() != "/" {
			read.wrong("routes %s do not end in a refusal of every other path", c.Name)
		}
	}
}

// validated is what generated messages have: the rules that stand in Envoy's API.
type validated interface{ ValidateAll() error }

// reader goes through messages and all that is in them.
type reader struct {
	wrong func(string, ...any)
	seen  map[string]bool // extensions by content: most routes and clusters share theirs
}

// each calls visit for a message and all inside it, extensions too, each of those of
// one content once, and tells wrong what breaks the rules of Envoy's API.
func (r *reader) each(m proto.Message, visit func(proto.Message)) {
	if v, ok := m.(validated); ok {
		if err := v.ValidateAll(); err != nil {
			r.wrong("%w", err)
		}
	}
	r.walk(m.ProtoReflect(), visit)
}

func (r *reader) walk(m protoreflect.Message, visit func(proto.Message)) {
	visit(m.Interface())
	if extension, ok := m.Interface().(*anypb.Any); ok {
		r.unpack(extension, visit)
		return
	}
	inside := func(v protoreflect.Value) { r.walk(v.Message(), visit) }
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool { inside(v); return true })
		case f.IsMap() || f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				inside(v.List().Get(i))
			}
		default:
			inside(v)
		}
		return true
	})
}

func (r *reader) unpack(extension *anypb.Any, visit func(proto.Message)) {
	content := extension.TypeUrl + "\x00" + string(extension.Value)
	if r.seen[content] {
		return
	}
	r.seen[content] = true
	inner, err := extension.UnmarshalNew()
	if err != nil {
		r.wrong("an extension cannot be read: %w", err)
		return
	}
	r.each(inner, visit)
}
