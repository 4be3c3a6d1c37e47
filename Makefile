# The commands of this house. `make check` is what CI runs; see CONTRIBUTING.md for each kind of test.
# Development commands leave the cloud stores out (--workspace --no-default-features), so that nothing is compiled twice.
SECONDS_EACH ?= 60

.PHONY: help build check test fmt clippy docs policy cloud-check release bench bench-ingest bench-workers fuzz fuzz-smoke

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

bench-workers: ## time workers on queues (a few minutes): target/bench/workers.json
	cargo build --release --no-default-features -p tallybox-facilitator --bin facilitator --example enqueue
	cargo build --release --no-default-features -p tallybox-sandbox --bin tallybox-sandbox
	./scripts/bench-workers

fuzz: ## fuzz every decoder for SECONDS_EACH (60) seconds
	./scripts/fuzz $(SECONDS_EACH)

fuzz-smoke: ## fuzz every decoder for a few seconds
	./scripts/check fuzz
