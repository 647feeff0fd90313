# Two commands matter: `make run` and `make test`. `make help` lists the rest.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SHELL := /bin/bash
T ?=

.DEFAULT_GOAL := help
.PHONY: help run test check format lint types imports openapi openapi-check bench soak lock peers clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.run: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "SPMS needs Python 3.11 or later (python3 --version)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "python3-venv is missing: apt-get install python3-venv (Debian, Ubuntu)"; exit 1; }
	@echo "installing the hash-pinned dependencies"
	@$(PIP) install --quiet --require-hashes -r requirements.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@echo "installing the tools for tests and checks"
	@$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

run: $(VENV)/.run ## Start everything: database, API, jobs, sandbox (SPMS_PORT, SPMS_DATA_DIR move it)
	@SPMS_SANDBOX=$${SPMS_SANDBOX:-true} exec $(BIN)/spms up

peers: .peers/.installed ## Install what tests need besides Python: sipp, and an SMSC on Node.js
	@command -v sipp >/dev/null || { \
		if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
			apt-get update -qq && apt-get install -y -qq sip-tester >/dev/null; \
		elif command -v brew >/dev/null; then brew install sipp; \
		else echo "the tests need sipp: install it (Debian, Ubuntu: sudo apt-get install sip-tester)"; \
			exit 1; fi; }

.peers/.installed: tests/messaging/peers/package-lock.json
	@command -v npm >/dev/null || { \
		if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
			apt-get update -qq && apt-get install -y -qq nodejs npm >/dev/null; \
		elif command -v brew >/dev/null; then brew install node; \
		else echo "the tests need Node.js and npm: install them (Debian, Ubuntu: sudo apt-get" \
			"install nodejs npm)"; exit 1; fi; }
	@mkdir -p .peers && cp tests/messaging/peers/package*.json .peers/
	@npm ci --prefix .peers --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

test: $(VENV)/.dev peers ## Run the whole suite on two cores, with databases of its own (T=path for a part)
	@$(BIN)/pytest $(or $(T),-n 3 --dist worksteal)

check: $(VENV)/.dev lint types imports openapi-check test ## Everything that must be green

format: $(VENV)/.dev ## Format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: $(VENV)/.dev
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

types: $(VENV)/.dev
	@$(BIN)/mypy

imports: $(VENV)/.dev
	@$(BIN)/lint-imports

openapi: $(VENV)/.run ## Write openapi/openapi.json anew
	@mkdir -p openapi && $(BIN)/spms openapi > openapi/.new && mv openapi/.new openapi/openapi.json

openapi-check: $(VENV)/.run
	@$(BIN)/spms openapi --check openapi/openapi.json

bench: $(VENV)/.dev ## Measure every figure of speed (SHORT=1: at most three minutes; JSON=file)
	@$(BIN)/spms bench $(if $(SHORT),--short) $(if $(JSON),--json $(JSON))

soak: $(VENV)/.dev peers ## Long fault runs, at most 30 minutes (T=path for a part)
	@timeout 1800 $(BIN)/pytest -m soak --timeout 900 $(or $(T),tests)

lock: ## Export the hash-pinned locks anew (needs uv; no index address is written)
	@uv lock --quiet --upgrade
	@uv export --quiet --no-emit-project --no-header --no-annotate --no-emit-index-url \
		--no-dev --group build -o requirements.lock
	@uv export --quiet --no-emit-project --no-header --no-annotate --no-emit-index-url \
		--all-groups -o requirements-dev.lock

clean: ## Remove the environment and caches; the data directory stays
	@rm -rf $(VENV) .peers .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
