# The commands of this house. `make check` is what CI runs; see CONTRIBUTING.md for each kind of test.
# Development commands leave the cloud stores out (--workspace --no-default-features), so that nothing is compiled twice.
SECONDS_EACH ?= 60

.PHONY: help build check test fmt clippy docs policy cloud-check kubernetes release bench bench-ingest fuzz fuzz-smoke simulate simulate-bugs

help: ## these lines
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

build: ## release binaries with S3, GCS and Azure: target/release/facilitator, tallybox-sandbox
	cargo build --release --workspace --bins

check: ## everything that CI checks
	./scripts/check

test: release ## all tests
	./scripts/check test

fmt: ## format the code
	cargo fmt --all

clippy: ## the linter, warnings denied
	./scripts/check clippy

docs: ## the API documentation, warnings denied
	./scripts/check docs

policy: ## licences, bans, sources, absences
	./scripts/check policy

cloud-check: ## compile with the cloud stores
	./scripts/check cloud

kubernetes: ## Kubernetes Jobs and Leases, on a real API server where there is one
	./scripts/check kubernetes

release: ## release binaries without the clouds, as the crash test kills them
	./scripts/check release

bench: build ## time the release binaries as whole processes (a quarter of an hour): target/bench/facilitator.json
	rm -rf target/bench
	cargo build --release -p tallybox-crypto --example bare_multiplication
	./scripts/bench

bench-ingest: ## load a real ingestor and time batching (two minutes): target/bench/ingest.json
	rm -rf target/bench/ingest.json target/bench/ingest-world
	cargo build --release --no-default-features -p tallybox-ingestor --bin ingestor --example fill_spool
	cargo build --release --no-default-features -p tallybox-facilitator -p tallybox-client --features tallybox-client/cli
	./scripts/bench-ingest

fuzz: ## fuzz every decoder for SECONDS_EACH (60) seconds
	./scripts/fuzz $(SECONDS_EACH)

fuzz-smoke: ## fuzz every decoder for a few seconds
	./scripts/check fuzz

# The simulation: SEEDS, FIRST_SEED, BUG, WITHOUT, WINDOWS, METRICS, TRACE; docs/simulation.md.
SEEDS ?= 200
FIRST_SEED ?= 1
SIMULATE = cargo run --quiet --no-default-features -p tallybox-simulation --features faults --example simulate --

simulate: ## the whole pipeline under every fault, SEEDS (200) worlds from FIRST_SEED (1) on, with BUG=name switched on
	$(SIMULATE) --seeds $(SEEDS) --first-seed $(FIRST_SEED) $(if $(BUG),--bug $(BUG)) $(if $(WITHOUT),--without $(WITHOUT)) $(if $(WINDOWS),--windows $(WINDOWS)) $(if $(METRICS),--metrics $(METRICS)) $(if $(TRACE),--trace)

simulate-bugs: ## the names of the faults that the simulation can switch on
	$(SIMULATE) --list-bugs
