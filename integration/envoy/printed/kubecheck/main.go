// Command kubecheck holds Kubernetes objects to the definitions that an API server
// would hold them to: schema, fields that nobody knows, and rules in CEL. A file
// without objects is Istio's mesh configuration.
//
// It is a module of its own because the definitions' libraries are those of an API
// server, and nothing of Signalbox's needs them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	mesh "istio.io/api/mesh/v1alpha1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

func main() {
	var definitions list
	flag.Var(&definitions, "crds", "file of definitions; again for more")
	flag.Parse()
	if err := run(definitions, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func run(definitions, files []string) error {
	kinds := map[string]*apiextensions.JSONSchemaProps{}
	for _, file := range definitions {
		if err := define(kinds, file); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	var problems []error
	for _, file := range files {
		if err := check(kinds, file); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", file, err))
		}
	}
	return errors.Join(problems...)
}

func documents(file string) ([]string, error) {
	raw, err := os.ReadFile(file)
	return strings.Split("\n"+string(raw), "\n---"), err
}

// define keeps the schemas of a file by apiVersion and kind.
func define(kinds map[string]*apiextensions.JSONSchemaProps, file string) error {
	docs, err := documents(file)
	if err != nil {
		return err
	}
	for _, doc := range docs {
		var crd v1.CustomResourceDefinition
		if err := yaml.Unmarshal([]byte(doc), &crd); err != nil {
			return err
		}
		if crd.Kind != "CustomResourceDefinition" {
			continue
		}
		for _, version := range crd.Spec.Versions {
			var props apiextensions.JSONSchemaProps
			if err := v1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, &props, nil); err != nil {
				return err
			}
			kinds[crd.Spec.Group+"/"+version.Name+" "+crd.Spec.Names.Kind] = &props
		}
	}
	return nil
}

func check(kinds map[string]*apiextensions.JSONSchemaProps, file string) error {
	docs, err := documents(file)
	if err != nil {
		return err
	}
	checked := 0
	for _, doc := range docs {
		raw, err := yaml.YAMLToJSONStrict([]byte(doc))
		if err != nil {
			return err
		}
		var object map[string]any // whose whole numbers stay whole, as in an API server
		if err := json.Unmarshal(raw, &object); err != nil {
			return err
		}
		if len(object) == 0 {
			continue
		}
		checked++
		if object["apiVersion"] == nil {
			if err := protojson.Unmarshal(raw, &mesh.MeshConfig{}); err != nil {
				return fmt.Errorf("mesh configuration: %w", err)
			}
			continue
		}
		kind := fmt.Sprint(object["apiVersion"], " ", object["kind"])
		props, ok := kinds[kind]
		if !ok {
			return fmt.Errorf("%s is not defined", kind)
		}
		if err := hold(props, object); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	if checked == 0 {
		return errors.New("there is nothing in it")
	}
	return nil
}

// hold does what an API server does with a new object.
func hold(props *apiextensions.JSONSchemaProps, object map[string]any) error {
	structural, err := schema.NewStructural(props)
	if err != nil {
		return err
	}
	var problems []error
	unknown := pruning.PruneWithOptions(object, structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	for _, path := range unknown {
		problems = append(problems, fmt.Errorf("there is no field %s", path))
	}
	defaulting.Default(object, structural)
	validator, _, err := validation.NewSchemaValidator(props)
	if err != nil {
		return err
	}
	for _, e := range validation.ValidateCustomResource(field.NewPath(""), object, validator) {
		problems = append(problems, e)
	}
	if rules := cel.NewValidator(structural, true, math.MaxInt64); rules != nil {
		errs, _ := rules.Validate(context.Background(), field.NewPath(""), structural, object, nil, math.MaxInt64)
		for _, e := range errs {
			problems = append(problems, e)
		}
	}
	return errors.Join(problems...)
}
