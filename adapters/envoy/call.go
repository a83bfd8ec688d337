package envoy

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/signalbox-dev/signalbox/adapters/door"
	"github.com/signalbox-dev/signalbox/decision"
	"github.com/signalbox-dev/signalbox/decision/llm"
)

// Namespaces of dynamic metadata. ext_authz may write into its own alone, so what
// ext_proc puts into NamespaceRoute and NamespaceCall is all in NamespaceAuthz there.
const (
	NamespaceRoute = "signalbox.route" // priority_groups: the order, as the router reads it
	NamespaceCall  = "signalbox"       // a Call
	NamespaceTries = "signalbox.tries" // how each deployment answered, by name: {status, header…}
	NamespaceUsage = "signalbox.usage" // what was read of the provider's usage without us
	NamespaceAuthz = "envoy.filters.http.ext_authz"
)

// keyOrder is what Envoy's priority_group specifier looks for in its namespace.
const keyOrder = "priority_groups"

// Profile is what stands behind our filter: it decides what a plan becomes.
type Profile string

const (
	// ProfileHeader: routes of somebody's own. The call goes to the plan's first
	// deployment alone, which the header x-signalbox-deployment names; path and model
	// are written into the request, as far as the filter can.
	ProfileHeader Profile = "header"
	// ProfileOrder: routes and clusters that xds has made. The call follows the order
	// in the metadata; each try gets its own host, path, model and credential there.
	ProfileOrder Profile = "order"
)

// HeaderProfile is the gRPC metadata, or the request header, in which a filter says
// its profile. Absent: ProfileHeader.
const HeaderProfile = "x-signalbox-profile"

// HeaderDeployment names the deployment: to somebody's routes on the way out, to the
// caller on the way back.
const HeaderDeployment = "x-signalbox-deployment"

// clusterPrefix keeps the clusters of deployments apart from those of an Envoy's own.
const clusterPrefix = "deployment/"

// Cluster is the name of a deployment's cluster.
func Cluster(deployment string) string { return clusterPrefix + deployment }

// Deployment is whose cluster this is.
func Deployment(cluster string) (string, bool) { return strings.CutPrefix(cluster, clusterPrefix) }

// Call is one allowed call, as the parts of an Envoy tell each other of it.
type Call struct {
	DecisionID string
	Token      string // to settle it with; "": it is free
	Dialect    llm.Dialect
	Endpoint   llm.Endpoint
	Order      []string // deployments, first to last
	Attempts   int      // tries that the hold pays for which may each be billed
	Tries      map[string]Try
}

// Try is what a try at one deployment needs beside its cluster: path is absolute,
// because all tries of a call share one set of headers; the edits apply to the body
// as it left our filter, one after another, each to what the one before has made.
// What is kept of the caller's query stands in the path.
type Try struct {
	Path  string
	Edits []llm.Edit
}

// NewCall says how an allowed call goes on. order is the deployments to try, a part
// of the plan's; told is the answer as every gateway reads it. The edits of each try
// start from the caller's body when edited is false, and else from what OutgoingBody has
// made of it, which is right for the first of the order as it is.
func NewCall(req *decision.Request, answer *decision.Answer, told *door.Answer, order []string, edited bool) (Call, error) {
	plan := answer.Plan
	route, _ := llm.Recognise(req.Method, req.Path)
	c := Call{DecisionID: answer.DecisionID, Token: plan.ReportToken, Dialect: answer.Dialect, Endpoint: route.Endpoint,
		Order: order, Attempts: max(1, plan.Hold.Attempts), Tries: make(map[string]Try, len(order))}
	body := planned(req, plan)
	var written llm.Edit // of the model, in the body already
	if edited && len(order) > 0 {
		var err error
		if written, err = modelEdit(plan, order[0], route.Endpoint, body); err != nil {
			return Call{}, err
		}
	}
	for i, d := range plan.Deployments {
		if !slices.Contains(order, d.Name) {
			continue
		}
		model, err := modelEdit(plan, d.Name, route.Endpoint, body)
		if err != nil {
			return Call{}, err
		}
		t := Try{Path: door.WithBeta(told.Deployments[i].Path, req.Path)}
		if !edited {
			t.Edits = backwards(plan.Edits)
		}
		if edit, changes := over(body, written, model); changes {
			t.Edits = append(t.Edits, edit)
		}
		c.Tries[d.Name] = t
	}
	return c, nil
}

// OutgoingBody is the body as a filter sends it on that can change it: as planned, with
// the model as the first deployment's provider knows it. nil: it stays as it is.
func OutgoingBody(req *decision.Request, plan *decision.Plan, first string) ([]byte, error) {
	route, _ := llm.Recognise(req.Method, req.Path)
	body := planned(req, plan)
	model, err := modelEdit(plan, first, route.Endpoint, body)
	if err != nil {
		return nil, err
	}
	if _, changes := over(body, llm.Edit{}, model); !changes {
		return plan.Body, nil
	}
	out := make([]byte, 0, len(body)+len(model.Text))
	out = append(append(out, body[:model.At[0]]...), model.Text...)
	return append(out, body[model.At[1]:]...), nil
}

func planned(req *decision.Request, plan *decision.Plan) []byte {
	if plan.Body != nil {
		return plan.Body
	}
	return req.Body
}

func modelEdit(plan *decision.Plan, deployment string, endpoint llm.Endpoint, body []byte) (llm.Edit, error) {
	for _, d := range plan.Deployments {
		if d.Name != deployment {
			continue
		}
		model, err := door.ModelEdit(d, endpoint, body, plan.ModelSpan)
		if err != nil {
			return llm.Edit{}, fmt.Errorf("name the model for %s: %w", d.Name, err)
		}
		return model, nil
	}
	return llm.Edit{}, fmt.Errorf("%s is no deployment of the plan", deployment)
}

// over is an edit of body as one of what written has made of body, and whether it
// changes anything there. All edits of the model stand at the same place, so one
// takes the place of the other's text; where it has none, of the body's own.
func over(body []byte, written, model llm.Edit) (llm.Edit, bool) {
	if written.Text == nil {
		return model, model.Text != nil && !bytes.Equal(body[model.At[0]:model.At[1]], model.Text)
	}
	text := model.Text
	if text == nil {
		text = body[written.At[0]:written.At[1]]
	}
	at := written.At[0]
	return llm.Edit{At: [2]int{at, at + len(written.Text)}, Text: text, Why: written.Why}, !bytes.Equal(text, written.Text)
}

// backwards is edits of one body as edits one after another: from the last place to the
// first, none moves what the next one means. They come in any order; of several that
// insert at one place, the first to come stands first.
func backwards(edits []llm.Edit) []llm.Edit {
	out := make([]llm.Edit, len(edits), len(edits)+1)
	copy(out, edits)
	slices.SortStableFunc(out, func(a, b llm.Edit) int { return cmp.Or(a.At[0]-b.At[0], a.At[1]-b.At[1]) })
	slices.Reverse(out)
	return out
}

// OrderMetadata is the order as the router reads it: one group a try, because a
// retry goes on to the next group.
func (c *Call) OrderMetadata() *structpb.Struct {
	groups := make([]*structpb.Value, len(c.Order))
	for i, name := range c.Order {
		groups[i] = object(map[string]*structpb.Value{
			"name": structpb.NewStringValue(name),
			"clusters": list(object(map[string]*structpb.Value{
				"cluster_name": structpb.NewStringValue(Cluster(name)), "weight": structpb.NewNumberValue(1),
			})),
		})
	}
	return &structpb.Struct{Fields: map[string]*structpb.Value{keyOrder: list(groups...)}}
}

// Metadata is the call for NamespaceCall.
func (c *Call) Metadata() *structpb.Struct {
	tries := make(map[string]*structpb.Value, len(c.Tries))
	for name, t := range c.Tries {
		edits := make([]*structpb.Value, len(t.Edits))
		for i, e := range t.Edits {
			edits[i] = list(structpb.NewNumberValue(float64(e.At[0])), structpb.NewNumberValue(float64(e.At[1])), structpb.NewStringValue(string(e.Text)))
		}
		tries[name] = object(map[string]*structpb.Value{"path": structpb.NewStringValue(t.Path), "edits": list(edits...)})
	}
	order := make([]*structpb.Value, len(c.Order))
	for i, name := range c.Order {
		order[i] = structpb.NewStringValue(name)
	}
	return &structpb.Struct{Fields: map[string]*structpb.Value{
		"decision": structpb.NewStringValue(c.DecisionID), "token": structpb.NewStringValue(c.Token),
		"dialect": structpb.NewStringValue(string(c.Dialect)), "endpoint": structpb.NewStringValue(string(c.Endpoint)),
		"attempts": structpb.NewNumberValue(float64(c.Attempts)), "order": list(order...), "tries": object(tries),
	}}
}

// ReadCall is what Metadata wrote, as far as whoever settles needs it: without the
// edits. false: this is no call of ours.
func ReadCall(m *structpb.Struct) (Call, bool) {
	f := m.GetFields()
	c := Call{DecisionID: f["decision"].GetStringValue(), Token: f["token"].GetStringValue(), Dialect: llm.Dialect(f["dialect"].GetStringValue()),
		Endpoint: llm.Endpoint(f["endpoint"].GetStringValue()), Attempts: int(f["attempts"].GetNumberValue())}
	for _, name := range f["order"].GetListValue().GetValues() {
		c.Order = append(c.Order, name.GetStringValue())
	}
	return c, c.DecisionID != ""
}

func object(fields map[string]*structpb.Value) *structpb.Value {
	return structpb.NewStructValue(&structpb.Struct{Fields: fields})
}

func list(values ...*structpb.Value) *structpb.Value {
	return structpb.NewListValue(&structpb.ListValue{Values: values})
}
