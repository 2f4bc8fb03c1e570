# Unison: `make serve` runs it, `make test` proves it. Everything is installed under .venv from requirements.lock.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
SCALE ?= 1
WORKERS ?= 2
SECONDS ?= 60

.PHONY: help setup serve test unit conformance chaos bench growth profile lint types format schema seed reset migrate doctor lock clean
.DEFAULT_GOAL := help

help: ## show the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: .venv/ready ## create .venv from requirements.lock

# The marker is written last: an interrupted installation is done again.
.venv/ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Unison needs Python 3.11 or newer as python3"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

serve: setup ## run everything: PostgreSQL, API on PORT (8000), worker; demo data on the first start
	@exec $(BIN)/unison serve

test: lint types unit conformance ## everything CI runs

unit: setup ## unit and integration tests
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile

conformance: setup ## foreign suites against the live server
	@test ! -d tests/conformance || $(BIN)/pytest -q tests/conformance

chaos: setup ## break everything while writers run, SECONDS=60 long
	CHAOS_SECONDS=$(SECONDS) $(BIN)/pytest -q -s tests/faults tests/worker/test_webhooks.py

bench: setup ## against PostGraphile 5 and graphql-yoga, on one database; BENCH_* and SCALE as in tests/load/bench/README.md
	@$(BIN)/pytest -q tests/load/bench
	@SCALE=$(SCALE) $(BIN)/python -m tests.load.bench

growth: setup ## latency of three queries at 5,000, 100,000 and 1,000,000 orders
	@$(BIN)/python -m tests.load.growth

profile: setup ## share of the server's time per layer under PROFILE_QUERY=Q2, by py-spy
	@$(BIN)/python -m tests.load.profile

lint: setup ## ruff and the layers of ARCHITECTURE.md
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: setup ## mypy
	$(BIN)/mypy

format: setup ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: setup ## write schema/schema.graphql anew
	$(BIN)/unison schema export

seed: setup ## demo data; SCALE=10 makes it larger
	@$(BIN)/unison seed --scale $(SCALE)

migrate: setup ## bring the database to the newest revision
	@$(BIN)/unison migrate

doctor: setup ## what is installed, what is missing and what that costs
	@$(BIN)/unison doctor

reset: ## throw the embedded database away
	rm -rf .unison

lock: setup ## resolve pyproject.toml anew into requirements.lock
	$(BIN)/uv pip compile pyproject.toml --generate-hashes --no-header --no-emit-index-url --no-annotate --all-extras --universal --quiet --upgrade -o requirements.lock

clean: ## remove the environment and caches, keep the data
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
