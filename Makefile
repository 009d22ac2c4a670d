# Two commands matter: `make synth` and `make test`. Both set up what is missing first; `make help` lists the rest.
# PYTHON chooses the interpreter of a new environment: make PYTHON=python3.12 synth
PYTHON ?= python3
ENVIRONMENT ?= sandbox
COMPARED ?= production
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help set-up synth compare shop test quick lint format bench golden lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

set-up: ## environment, pinned packages, Node and CDK; nothing to do when they are there
	@command -v "$(PYTHON)" >/dev/null || { echo "$(PYTHON) is not on PATH; choose one: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@"$(PYTHON)" tools/bootstrap.py

synth: set-up ## set up, then write all five stages to build/assemblies and print the stage table (ENVIRONMENT=sandbox)
	@$(BIN)/blueprint synth $(ENVIRONMENT)

compare: set-up ## what stage 4 changes, and a page with all five stages (COMPARED=production)
	@$(BIN)/blueprint synth $(COMPARED) >/dev/null
	@$(BIN)/blueprint compare build/assemblies/$(COMPARED)/stage-3 build/assemblies/$(COMPARED)/stage-4
	@$(BIN)/blueprint compare --all build/assemblies/$(COMPARED) --output build/stages.html

shop: set-up ## open the shop on this machine, with a database of its own (OPTIONS=--port=8001)
	@$(BIN)/blueprint shop $(OPTIONS)

test: lint ## set up, then every check and every test
	@$(BIN)/python tools/run_tests.py

quick: lint ## the inner loop: everything that does not take long
	@$(BIN)/python -m pytest -m "not slow"

lint: set-up ## ruff, mypy, and generated files that went stale
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/blueprint schema --check

format: set-up ## put imports and layout in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

golden: set-up ## write the golden templates and the generated parts of the documents again
	@$(BIN)/python -m pytest --refresh tests/stacks/test_golden.py tests/stacks/test_identity.py tests/workbench/test_cost_report.py tests/test_docs.py
	@$(BIN)/blueprint schema

bench: set-up ## how long synthesis, the inner loop and the functions' imports take, against their bars
	@$(BIN)/python tools/bench.py
	@$(BIN)/python tools/bench_compare.py
	@$(BIN)/python tools/import_times.py

lock: set-up ## pin every package again (OPTIONS=--upgrade for newer ones)
	@$(BIN)/python tools/lock.py $(OPTIONS)

clean: ## remove everything that was set up or built
	rm -rf .venv .wheels .peers node_modules build cdk.out .mypy_cache .ruff_cache .hypothesis *.egg-info
