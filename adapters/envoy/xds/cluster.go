package xds

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	familyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/signalbox-dev/signalbox/adapters/envoy"
	"github.com/signalbox-dev/signalbox/registry"
)

// denyCluster is where a call goes that has no order: it has no endpoint.
const denyCluster = "deny"

// keyHTTP is under which an Envoy looks for how a cluster speaks HTTP.
const keyHTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

const (
	idleConnection = 50 * time.Second // shorter than most servers wait, so that it is Envoy that closes
	atOnce         = 65536            // calls of one cluster at once: the bound on calls is ours, not a breaker's 1024
	connections    = 4096
	streamWindow   = 256 << 10 // what a provider may send ahead of a slow caller
)

// address is where a provider is.
type address struct {
	url  *url.URL
	host string // without the port
	port uint32
	ip   bool
}

func addressOf(baseURL string) (address, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Hostname() == "" {
		return address{}, fmt.Errorf("its base_url is not an address") // not repeated: an old registry may hold what a new one refuses
	}
	a := address{url: u, host: u.Hostname(), port: 443}
	if u.Scheme == "http" {
		a.port = 80
	}
	if text := u.Port(); text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return address{}, fmt.Errorf("its base_url has no port")
		}
		a.port = uint32(port)
	}
	_, err = netip.ParseAddr(a.host)
	a.ip = err == nil
	return a, nil
}

func (a address) secure() bool { return a.url.Scheme == "https" }

// cluster is one deployment for an Envoy: where it is, how it proves itself, and what
// becomes of a request on its way there.
func (in *Input) cluster(d *registry.Deployment) (*clusterv3.Cluster, error) {
	p := d.ProviderRef
	to, err := addressOf(p.BaseURL)
	if err != nil {
		return nil, err
	}
	socket, err := in.socket(p, to)
	if err != nil {
		return nil, err
	}
	name := envoy.Cluster(d.Name)
	c := &clusterv3.Cluster{
		Name:             name,
		ConnectTimeout:   durationpb.New(in.Options.Connect),
		LoadAssignment:   assignment(name, p, to),
		CircuitBreakers:  breakers(),
		OutlierDetection: outliers(),
		TransportSocket:  socket,
		UpstreamConnectionOptions: &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{
			KeepaliveTime: wrapperspb.UInt32(30), KeepaliveInterval: wrapperspb.UInt32(10), KeepaliveProbes: wrapperspb.UInt32(3),
		}},
	}
	if err := to.found(c); err != nil {
		return nil, err
	}
	speaks, err := in.speaks(d, to)
	if err != nil {
		return nil, err
	}
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{keyHTTP: speaks}
	return c, nil
}

// found says how an Envoy finds the address. It connects to what a name leads to now,
// and closes no connection because the name leads elsewhere by then: those of large
// providers do all the time.
func (a address) found(c *clusterv3.Cluster) error {
	if a.ip {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
		return nil
	}
	config, err := packed(&dnsv3.DnsCluster{
		DnsLookupFamily: familyv3.DnsLookupFamily_V4_PREFERRED, RespectDnsTtl: true, AllAddressesInSingleEndpoint: true,
	})
	if err != nil {
		return err
	}
	c.ClusterDiscoveryType = &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{Name: "envoy.cluster.dns", TypedConfig: config}}
	return nil
}

// assignment is the one endpoint. Its hostname is what the Host header becomes at each
// try, so it has the port where the address has one; but not behind a proxy, which is
// asked for the hostname and the port.
func assignment(cluster string, p *registry.Provider, to address) *endpointv3.ClusterLoadAssignment {
	hostname := to.url.Host
	if p.ProxyURL != "" {
		hostname = to.host
	}
	at := &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: to.host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: to.port},
	}}}
	return &endpointv3.ClusterLoadAssignment{ClusterName: cluster, Endpoints: []*endpointv3.LocalityLbEndpoints{{
		LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
			Endpoint: &endpointv3.Endpoint{Hostname: hostname, Address: at},
		}}},
	}}}
}

// breakers leave bounding calls to the decision. The retries that they count are tries
// at another deployment, and the first one's breaker counts them all.
func breakers() *clusterv3.CircuitBreakers {
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections: wrapperspb.UInt32(connections), MaxPendingRequests: wrapperspb.UInt32(atOnce), MaxRequests: wrapperspb.UInt32(atOnce),
		RetryBudget: &clusterv3.CircuitBreakers_Thresholds_RetryBudget{BudgetPercent: &typev3.Percent{Value: 100}, MinRetryConcurrency: wrapperspb.UInt32(1024)},
	}}}
}

// outliers shows, in Envoy's own figures, an address that only resets or refuses
// connections. It changes nothing for calls: a cluster of one endpoint whose endpoint
// is out goes on to use it, and were it not so, the call would end there instead of
// going to the next deployment. What a row of 429 or 500 means is health's to say, for
// all replicas; an Envoy of its own mind would contradict the decision's order.
func outliers() *clusterv3.OutlierDetection {
	return &clusterv3.OutlierDetection{
		SplitExternalLocalOriginErrors: true, AlwaysEjectOneHost: wrapperspb.Bool(true),
		ConsecutiveLocalOriginFailure: wrapperspb.UInt32(5), EnforcingConsecutiveLocalOriginFailure: wrapperspb.UInt32(100),
		EnforcingConsecutive_5Xx: wrapperspb.UInt32(0), EnforcingConsecutiveGatewayFailure: wrapperspb.UInt32(0),
		EnforcingSuccessRate: wrapperspb.UInt32(0), EnforcingLocalOriginSuccessRate: wrapperspb.UInt32(0),
		Interval: durationpb.New(5 * time.Second), BaseEjectionTime: durationpb.New(10 * time.Second),
	}
}

// speaks is how HTTP goes to the provider, and through which filters.
func (in *Input) speaks(d *registry.Deployment, to address) (*anypb.Any, error) {
	filters, err := in.filters(d)
	if err != nil {
		return nil, err
	}
	o := &httpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(idleConnection)},
		HttpFilters:               filters,
	}
	if !to.secure() {
		o.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: &corev3.Http1ProtocolOptions{}},
		}}
		return packed(o)
	}
	o.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_AutoConfig{AutoConfig: &httpv3.HttpProtocolOptions_AutoHttpConfig{
		HttpProtocolOptions: &corev3.Http1ProtocolOptions{},
		Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
			InitialStreamWindowSize: wrapperspb.UInt32(streamWindow), InitialConnectionWindowSize: wrapperspb.UInt32(16 << 20),
			// A connection that died silently would take all its streams to their idle time.
			ConnectionKeepalive: &corev3.KeepaliveSettings{Interval: durationpb.New(30 * time.Second), Timeout: durationpb.New(15 * time.Second)},
		},
	}}
	return packed(o)
}

// deny is a cluster without an endpoint: 503, and never the network.
func deny() *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name: denyCluster, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}, ConnectTimeout: durationpb.New(time.Second),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: denyCluster},
	}
}

// packed is a message as extensions carry it. Deterministic, because a resource that
// differs is pushed.
func packed(m proto.Message) (*anypb.Any, error) {
	out := &anypb.Any{}
	if err := anypb.MarshalFrom(out, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		return nil, fmt.Errorf("write %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return out, nil
}
