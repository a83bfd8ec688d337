package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/openai/openai-go/v3"
)

// catch reads an error as an application reads it. Go's SDKs have one type for
// all statuses.
func catch(err error) *caught {
	var o *openai.Error
	if errors.As(err, &o) {
		return &caught{
			Class: "Error", Bases: []string{"openai.Error"}, Status: o.StatusCode, Code: o.Code, Type: o.Type, Message: o.Message,
			RequestID: o.Response.Header.Get("x-request-id"), Body: raw(o.RawJSON()),
		}
	}
	var a *anthropic.Error
	if errors.As(err, &a) {
		// Its message and its code are in the body alone.
		var body struct {
			Error struct {
				Message string
				Details struct {
					Code string `json:"error_code"`
				}
			}
		}
		_ = json.Unmarshal([]byte(a.RawJSON()), &body) // a body that is no JSON has neither
		return &caught{
			Class: "Error", Bases: []string{"anthropic.Error"}, Status: a.StatusCode, Code: body.Error.Details.Code, Type: string(a.Type()),
			Message: body.Error.Message, RequestID: a.RequestID, Body: raw(a.RawJSON()),
		}
	}
	return &caught{Class: fmt.Sprintf("%T", err), Bases: []string{}, Message: err.Error()}
}

// versions are those this program was built with.
func versions() map[string]string {
	found := map[string]string{}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return found
	}
	for _, m := range info.Deps {
		switch {
		case strings.HasPrefix(m.Path, "github.com/openai/openai-go"):
			found["openai"] = strings.TrimPrefix(m.Version, "v")
		case m.Path == "github.com/anthropics/anthropic-sdk-go":
			found["anthropic"] = strings.TrimPrefix(m.Version, "v")
		}
	}
	return found
}
