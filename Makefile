# The commands of the project. CI runs `make check`; CONTRIBUTING.md describes each kind of test.
SECONDS_EACH ?= 60

.PHONY: help build check test fmt clippy docs policy kubernetes bench bench-ingest bench-workers fuzz fuzz-smoke mutants simulate simulate-bugs chaos

help: ## list the commands of the project
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

build: ## build release binaries with S3, GCS and Azure: target/release/facilitator, tallybox-client, tallybox-sandbox, …
	cargo build --release --workspace --bins --features tallybox-client/cli

check: ## run everything that CI runs
	./scripts/check

test: ## run all tests
	./scripts/check test

fmt: ## format the code
	cargo fmt --all

clippy: ## run the linter, warnings denied
	./scripts/check clippy

docs: ## build the API documentation, warnings denied
	./scripts/check docs

policy: ## check licences, banned crates, sources and absent features
	./scripts/check policy

kubernetes: ## test Kubernetes Jobs and Leases, on a real API server if one is available
	./scripts/check kubernetes

bench: build ## time the release binaries as whole processes (a quarter of an hour): target/bench/facilitator.json
	rm -rf target/bench
	cargo build --release -p tallybox-crypto --example bare_multiplication
	./scripts/bench

bench-ingest: ## load a real ingestor and time batching (two minutes): target/bench/ingest.json
	rm -rf target/bench/ingest.json target/bench/ingest-world
	cargo build --release --no-default-features -p tallybox-ingestor --bin ingestor --example fill_spool
	cargo build --release --no-default-features -p tallybox-facilitator -p tallybox-client --features tallybox-client/cli
	./scripts/bench-ingest

bench-workers: ## time workers on queues (a few minutes): target/bench/workers.json
	cargo build --release --no-default-features -p tallybox-facilitator --bin facilitator --example enqueue
	cargo build --release --no-default-features -p tallybox-sandbox --bin tallybox-sandbox
	./scripts/bench-workers

fuzz: ## fuzz every decoder for SECONDS_EACH (60) seconds
	./scripts/fuzz $(SECONDS_EACH)

fuzz-smoke: ## fuzz every decoder for a few seconds
	./scripts/check fuzz

mutants: ## find changes of the code that no test detects, in CRATES (all; hours): docs/mutants.md
	./scripts/mutants $(CRATES)

# Chaos kills real processes; docs/sandbox.md.
CHAOS_SECONDS ?= 600

chaos: ## run the sandbox under chaos for CHAOS_SECONDS (600): no lost or double report, no unsummable window
	cargo run --release --no-default-features -p tallybox-sandbox -- --serve --chaos --for $(CHAOS_SECONDS) --listen 127.0.0.1:0 --debug-listen 127.0.0.1:0

# Variables of the simulation: SEEDS, FIRST_SEED, BUG, WITHOUT, WINDOWS, METRICS, TRACE;
# docs/simulation.md.
SEEDS ?= 200
FIRST_SEED ?= 1
SIMULATE = cargo run --quiet --no-default-features -p tallybox-simulation --example simulate --

simulate: ## simulate the complete pipeline in virtual time with injected faults: SEEDS (200) runs from FIRST_SEED (1), with the planted fault BUG=name
	$(if $(BUG),./scripts/planted-faults,$(SIMULATE)) --seeds $(SEEDS) --first-seed $(FIRST_SEED) $(if $(BUG),--bug $(BUG)) $(if $(WITHOUT),--without $(WITHOUT)) $(if $(WINDOWS),--windows $(WINDOWS)) $(if $(METRICS),--metrics $(METRICS)) $(if $(TRACE),--trace)

simulate-bugs: ## list the planted faults that the simulation has to find
	./scripts/planted-faults --list
