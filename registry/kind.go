package registry

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/signalbox-dev/signalbox/journal"
)

// objectID is what one object is called, for ever.
type objectID struct{ Kind, Tenant, Name string }

// String is the object as messages name it: "app acme/helpdesk".
func (id objectID) String() string {
	if id.Tenant == "" {
		return id.Kind + " " + id.Name
	}
	return id.Kind + " " + id.Tenant + "/" + id.Name
}

// value is an object of the registry: *Tenant, *App, … Its body is a struct
// whose JSON is the object as the file spells it, in one spelling only: fields
// in the file's order, sets sorted, defaults left out. Equal bodies are equal
// objects.
type value interface {
	id() objectID
	body() any
}

// The kinds of object, as journal.RegistryChanged names them.
const (
	kindTenant     = "tenant"
	kindTeam       = "team"
	kindApp        = "app"
	kindProvider   = "provider"
	kindModel      = "model"
	kindDeployment = "deployment"
	kindPrice      = "price"
	kindBudget     = "budget"
	kindGateway    = "gateway"
	kindPath       = "path"
	kindKey        = "key"
)

// kind says how objects of one kind are read. The order of kinds is that of the
// file's sections and of a transaction's records: what is referred to stands
// before what refers to it.
type kind struct {
	name    string
	section string // in the file; empty: not in files
	shared  bool   // belongs to no tenant
	read    func(m *mapping) value
}

func kinds() []kind {
	return []kind{
		{kindTenant, "tenants", false, readTenant},
		{kindTeam, "teams", false, readTeam},
		{kindApp, "apps", false, readApp},
		{kindProvider, "providers", true, readProvider},
		{kindModel, "models", true, readModel},
		{kindDeployment, "deployments", true, readDeployment},
		{kindPrice, "prices", true, readPrice},
		{kindBudget, "budgets", false, readBudget},
		{kindGateway, "gateways", true, readGateway},
		{kindPath, "paths", true, readPath},
		{kindKey, "", false, nil}, // keys are JSON only: key.go
	}
}

// encode is an object's body for the journal.
func encode(v value) ([]byte, error) {
	b, err := json.Marshal(v.body())
	if err != nil {
		return nil, fmt.Errorf("write %s as JSON: %w", v.id(), err)
	}
	return b, nil
}

// decode reads a body from the journal. It is as strict as the reading of files:
// a field it does not know means that a newer program wrote it.
func decode(kindName string, body []byte) (value, error) {
	if kindName == kindKey {
		return decodeKey(body)
	}
	for _, k := range kinds() {
		if k.name == kindName && k.read != nil {
			return decodeObject(k, body)
		}
	}
	return nil, fmt.Errorf("objects of kind %q are not known to this program", clip(kindName))
}

func decodeObject(k kind, body []byte) (value, error) {
	var found problems
	r := &reader{file: "body", problems: &found}
	// JSON is YAML, so there is one reader for both.
	docs := r.documents(body)
	if len(docs) != 1 {
		found.add(Problem{File: "body", Line: 1, Column: 1, What: "not one object", Want: "want one"})
		return nil, found.err()
	}
	m := r.mapping(docs[0], k.name)
	v := k.read(m)
	m.done()
	if err := found.err(); err != nil {
		return nil, err
	}
	return v, nil
}

// recorded is an object where it stands in the registry.
type recorded struct {
	value   value
	json    []byte
	version int64     // the offset behind the entry that wrote it
	at      time.Time // that entry's append time
}

// change is a record of the registry's topic.
func change(id objectID, body []byte) journal.RegistryChanged {
	return journal.RegistryChanged{Kind: id.Kind, Tenant: id.Tenant, Name: id.Name, Body: body, Deleted: body == nil}
}
