package sdk_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/signalbox-dev/signalbox/integration/sdk"
)

// player is one of the six: an SDK in a language.
type player struct{ language, sdk string }

func (p player) name() string { return p.language + "-" + p.sdk }

func players() []player {
	var all []player
	for _, language := range sdk.Languages {
		all = append(all, player{language, "openai"}, player{language, "anthropic"})
	}
	return all
}

// pinned are the versions that the table is played with.
var pinned = map[player]string{
	{"python", "openai"}: "3.54.0", {"python", "anthropic"}: "2.12.0",
	{"node", "openai"}: "7.57.0", {"node", "anthropic"}: "1.12.0",
	{"go", "openai"}: "3.96.0", {"go", "anthropic"}: "1.84.0",
}

// classes are the exceptions that each SDK has for a status. Go's SDKs have one
// type for all. What is not here is the SDK's general one (see classOf).
var classes = map[string]map[int]string{
	"openai": {400: "BadRequestError", 401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError",
		422: "UnprocessableEntityError", 429: "RateLimitError", 500: "InternalServerError", 502: "InternalServerError",
		503: "InternalServerError", 504: "InternalServerError", 529: "InternalServerError"},
	"anthropic": {400: "BadRequestError", 401: "AuthenticationError", 402: "PaymentRequiredError", 403: "PermissionDeniedError",
		404: "NotFoundError", 413: "ContentTooLargeError", 422: "UnprocessableEntityError", 429: "RateLimitError",
		500: "InternalServerError", 502: "InternalServerError", 503: "ServiceUnavailableError", 504: "GatewayTimeoutError", 529: "OverloadedError"},
}

// classOf is the exception that an application must be able to catch, by name. No
// status of ours may end in the general one where the SDK has one of its own.
func classOf(p player, status int) string {
	if p.language == "go" {
		return "Error"
	}
	if class, ok := classes[p.sdk][status]; ok {
		return class
	}
	if p.language == "node" {
		return "APIError" // OpenAI's has none for 402 and 413
	}
	return "APIStatusError"
}

// startDrivers starts a driver for each language, and proves that it has what is
// pinned.
func startDrivers(t *testing.T, kit *sdk.Kit) map[string]*sdk.Driver {
	t.Helper()
	drivers := map[string]*sdk.Driver{}
	for _, language := range sdk.Languages {
		d, err := sdk.StartDriver(t.Context(), kit, language)
		if err != nil {
			t.Fatal(err)
		}
		drivers[language] = d
		t.Cleanup(func() {
			if err := d.Stop(); err != nil {
				t.Errorf("stop the %s driver: %v", language, err)
			}
		})
	}
	for p, want := range pinned {
		if got := drivers[p.language].Versions[p.sdk]; got != want {
			t.Errorf("the %s SDK of %s is %q, want %s", p.sdk, p.language, got, want)
		}
	}
	return drivers
}

// catches reports whether an application that catches class catches this.
func catches(c *sdk.Caught, class string) error {
	if c.Class == class || slices.Contains(c.Bases, class) && c.Class != class {
		return nil
	}
	return fmt.Errorf("it is a %s (of %v), want %s", c.Class, c.Bases, class)
}
