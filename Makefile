# Caring Portal. `make run` starts it, `make test` tests it, `make help` lists the rest.
SHELL := /bin/sh
.DEFAULT_GOAL := help

# Any Python from 3.11 on makes the environment.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV := .venv
PY := $(CURDIR)/$(VENV)/bin/python
# npm of the machine, else the one set-up puts into the environment.
export PATH := $(PATH):$(CURDIR)/$(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# One machine, SQLite, no services; see .env.example for production.
export CARING_MODE ?= embedded

PIP_INSTALL := $(PY) -m pip install --quiet --no-input --require-hashes
PIP_COMPILE := $(PY) -m piptools compile --quiet --generate-hashes --allow-unsafe --strip-extras \
	--no-header --no-emit-index-url --no-emit-find-links

CATALOGUES := $(wildcard locale/*/LC_MESSAGES/django.po)

.PHONY: help
help: ## List what make can do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

# --- set-up -----------------------------------------------------------------------------------------------------------

.PHONY: setup setup-dev
setup: $(VENV)/.base build/.assets build/.messages ## Environment, dependencies, front-end files, messages
	@:
setup-dev: setup $(VENV)/.dev ## The same, and what tests and linters need

$(PY):
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found." >&2; exit 1; }
	@echo "Making the environment with $(PYTHON) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.base: requirements/base.txt | $(PY)
	@echo "Installing the dependencies …"
	@$(PIP_INSTALL) -r requirements/base.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.base
	@echo "Installing the test tools …"
	@$(PIP_INSTALL) -r requirements/dev.txt
	@touch $@

$(VENV)/.node: requirements/node.txt | $(PY)
	@command -v npm >/dev/null 2>&1 || { echo "No npm here: installing Node.js into the environment …"; \
		$(PIP_INSTALL) -r requirements/node.txt; }
	@touch $@

node_modules/.installed: package.json package-lock.json $(VENV)/.node
	@echo "Fetching the front-end packages …"
	@npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

build/.assets: scripts/build_assets.py static/icons.txt node_modules/.installed $(VENV)/.base
	@$(PY) scripts/build_assets.py
	@touch $@

build/.messages: scripts/messages.py $(CATALOGUES) $(VENV)/.base
	@$(PY) scripts/messages.py compile
	@mkdir -p build && touch $@

# --- run --------------------------------------------------------------------------------------------------------------

.PHONY: run
run: setup ## Run the portal on this machine: PORT=8000, HOST=127.0.0.1, DEMO_PASSWORD=…
	@exec $(PY) manage.py serve

# --- work on it -------------------------------------------------------------------------------------------------------

.PHONY: test lint
test: setup-dev ## Everything this machine can test; ONLY="lint checks sqlite postgres" takes a part
	@$(PY) scripts/test.py $(ONLY)
lint: setup-dev ## Style, types, templates
	@$(PY) scripts/test.py lint

.PHONY: format
format: setup-dev ## Format the Python sources
	@$(PY) -m ruff check --fix --quiet .
	@$(PY) -m ruff format --quiet .

.PHONY: screenshots
screenshots: setup-dev ## Pictures of the main pages into screenshots/; ONLY=home takes some
	@$(PY) scripts/screenshots.py $(ONLY)

.PHONY: mutants bench-units bench-lists bench-statistics bench-uploads bench-outreach
mutants: setup-dev ## Break each scope filter in turn and see the tests notice
	@$(PY) tests/mutate_scopes.py
bench-units: setup-dev ## A whole country's units: loading, and the time of a district's scope
	@$(PY) scripts/bench_units.py
bench-lists: setup-dev ## Lists over a million records (needs PostgreSQL)
	@$(PY) scripts/bench_lists.py
bench-statistics: setup-dev ## What kept cells are worth, over ever more records (needs PostgreSQL and Redis)
	@$(PY) scripts/bench_statistics.py
bench-uploads: setup-dev ## What a spreadsheet of 50,000 rows costs (needs PostgreSQL and Redis)
	@$(PY) scripts/bench_uploads.py

.PHONY: messages
messages: setup ## Bring the message catalogue up to date with the sources
	@$(PY) scripts/messages.py extract

.PHONY: lock
lock: $(VENV)/.dev ## Lock the requirements anew, within the ranges of requirements/*.in
	@$(PIP_COMPILE) --upgrade -o requirements/base.txt requirements/base.in
	@# pip looks for the newest of what is asked for with extras, unless the lock names the extras too.
	@$(PIP_COMPILE) --no-strip-extras --upgrade -o requirements/dev.txt requirements/dev.in
	@$(PIP_COMPILE) --upgrade -o requirements/node.txt requirements/node.in
	@npm update --package-lock-only --silent --no-audit --no-fund

.PHONY: clean
clean: ## Remove what set-up made (not the data in var/)
	rm -rf $(VENV) node_modules build locale/*/LC_MESSAGES/*.mo
bench-outreach: setup-dev ## Visits and opinions by the million beside ten thousand (needs PostgreSQL)
	@$(PY) scripts/bench_outreach.py
