# Nabat. `make help` lists the targets.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

export PATH := $(CURDIR)/.cache/node/node_modules/node/bin:$(CURDIR)/.cache/bin:$(PATH)

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# Without cgo, so that a compiler that comes later changes nothing.
GOBUILD  := CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)'
# Two packages at a time, and a bound for each: a test that hangs must not hang CI.
GOTEST   := go test -p 2 -timeout 20m
PKG      ?= ./...
FUZZTIME ?= 20s
SPEED    ?= 1
KILLS    ?= 200

WEB     := console/web
BUNDLE  := $(WEB)/dist/index.html
SOURCES := $(shell find $(WEB) -path $(WEB)/node_modules -prune -o -path $(WEB)/dist -prune -o -type f ! -name '*.go' -print 2>/dev/null)

.PHONY: help setup setup-test setup-lint build bundle run test lint vet race bench kill soak fuzz sim clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is needed to run: PostgreSQL, Go modules, npm packages
	@.ci/setup run

setup-test: ## install what the tests need besides: a real Kafka, kcat, sipp, a browser
	@.ci/setup test

setup-lint: ## build the linter
	@.ci/setup lint

build: bundle ## bin/nabat and bin/nabatsim, with the console's page if Node is here
	@mkdir -p bin
	$(GOBUILD) -o bin/ ./cmd/nabat ./cmd/nabatsim

bundle: $(BUNDLE) # the browser application, when Node and its packages are here

$(BUNDLE): $(SOURCES)
	@if [ -d $(WEB)/node_modules ] && command -v npm >/dev/null; then \
		npm --silent --prefix $(WEB) run build && touch -c $@; \
	else \
		echo "no Node packages: building without the console's page (make setup installs them)"; \
	fi

run: setup build ## set up, build, and show a living city (SPEED=10 for more)
	bin/nabat demo --speed $(SPEED)

test: setup-test bundle ## every test, with the race detector (of the kill test 20 kills); no default port is used
	npm --silent --prefix $(WEB) run check
	NABAT_REQUIRE_PEERS=1 $(GOTEST) -race $(PKG)

race: ## Go tests of PKG with the race detector, without set-up
	$(GOTEST) -race $(PKG)

lint: setup-lint vet ## golangci-lint, go vet, govulncheck
	golangci-lint run ./...
	@if out=$$(timeout 300 go run golang.org/x/vuln/cmd/govulncheck@v1.1.4 ./... 2>&1); then \
		echo "$$out"; \
	elif grep -qE 'fetching vulnerabilities|no such host|connection refused|i/o timeout' <<<"$$out"; then \
		echo "govulncheck: skipped, it or its database cannot be reached"; \
	else \
		echo "$$out"; exit 1; \
	fi

vet:
	go vet ./...

bench: build ## figures, each beside its ceiling from the same run (BENCH=--quick for rough ones)
	$(GOBUILD) -o bin/nabat-bench ./cmd/nabat/bench
	bin/nabat-bench --engine bin/nabat $(BENCH)

kill: build ## 200 times kill -9 under load (KILLS), every second time with PostgreSQL; then the proof that it would notice
	go test -v -timeout 0 -count 1 ./cmd/nabat/crash -kills $(KILLS)

soak: kill ## make kill, then the tests named Soak, NABAT_TEST_SOAK long (1h)
	NABAT_TEST_SOAK=$${NABAT_TEST_SOAK:-1h} go test -p 1 -timeout 0 -count 1 -run Soak $(PKG)

fuzz: ## every fuzz target for FUZZTIME (20s)
	@for pkg in $$(go list $(PKG)); do \
		for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "== $$pkg $$f"; \
			go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

sim: build ## what the simulators can do
	bin/nabatsim --help

clean: ## remove what was built; ./data and .cache stay
	rm -rf bin
	find $(WEB)/dist -mindepth 1 ! -name .keep -delete
