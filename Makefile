# Two commands do everything: `make up` and `make test`. Each sets up what it needs, once.
.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
DIR ?= .local
ARGUMENTS ?=
ASSETS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := $(VENV)/.demo
AXE := 4.14.1
AXE_SUM := 29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c

.PHONY: help up down status logs clean demo test axe unit check format bundle dist bench chaos distclean tools

help: ## show this list
	@echo "make up starts an Alluxio cluster on this machine through Mesos; make test runs every test. All targets:"
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'
	@echo "ARGUMENTS='--agents 5 --ram 512MB' goes on to make up; DIR=folder keeps several clusters apart."

up: $(READY) ## start the cluster, or find it running, and prove that it works
	@$(BIN)/alluxio-mesos local up --dir $(DIR) $(ARGUMENTS)

down: $(READY) ## end the cluster; journal and cache are kept
	@$(BIN)/alluxio-mesos local down --dir $(DIR)

status: $(READY) ## show what runs
	@$(BIN)/alluxio-mesos local status --dir $(DIR)

logs: $(READY) ## show the scheduler's log; ARGUMENTS=worker-0 shows a task's
	@$(BIN)/alluxio-mesos local logs --dir $(DIR) $(ARGUMENTS)

clean: $(READY) ## end the cluster and remove its data
	@$(BIN)/alluxio-mesos local clean --dir $(DIR)

demo: $(DEMO) ## measure Spark with and without Alluxio: a chart, a table and a report
	@$(BIN)/alluxio-mesos demo $(ARGUMENTS)

test: check $(DEMO) ## run the checks and every test, those with real Alluxio and ZooKeeper too
	$(BIN)/python -m framework.artefacts all
	@$(MAKE) axe || echo "Without axe-core the dashboard's accessibility is not tested."
	$(BIN)/pytest $(ARGUMENTS)

axe: build/axe/axe.min.js ## fetch axe-core with npm, which looks for what keeps people out of the dashboard

# npm checks the archive against what its registry says; the sum says that it is the one that was meant.
build/axe/axe.min.js:
	@mkdir -p $(@D)
	@cd $(@D) && npm pack --silent axe-core@$(AXE) >/dev/null && tar -xzf axe-core-$(AXE).tgz --strip-components 1 package/axe.min.js && rm axe-core-$(AXE).tgz
	@cd $(@D) && echo "$(AXE_SUM)  axe.min.js" | sha256sum --quiet --check || { rm axe.min.js; exit 1; }

unit: $(READY) ## run the tests that need seconds and no Java
	$(BIN)/pytest tests/unit tests/properties tests/scenarios $(ARGUMENTS)

check: $(READY) ## format, lint, types and import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config setup.cfg

format: $(READY) ## rewrite the code as check wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bundle: $(READY) ## make the Alluxio bundle that the agents fetch
	@$(BIN)/python -m framework.artefacts bundle

dist: $(READY) ## make all that an installation fetches, in dist/; ASSETS=URL is where it will lie
	@$(BIN)/python -m framework.distribution $(if $(ASSETS),--assets '$(ASSETS)') $(ARGUMENTS)

bench: $(READY) ## print the figures: offers, reads, many clients, start-up, executor
	$(BIN)/python -m framework.artefacts all
	$(BIN)/python tests/bench/bench_offers.py
	$(BIN)/python tests/bench/bench_reads.py
	PYTHONPATH=tests $(BIN)/python -m load $(ARGUMENTS)
	$(BIN)/python tests/bench/bench_cluster.py

chaos: $(READY) ## let every part die in turn, on a real cluster, and print what came of it
	@$(BIN)/python -m framework.artefacts all
	@PYTHONPATH=tests $(BIN)/python -m chaos $(ARGUMENTS)

distclean: clean ## clean, and remove what was fetched and built
	rm -rf build dist $(VENV)

# The virtual environment, made again when the requirements change. What the machine lacks is named before anything is installed.
$(READY): setup.cfg setup.py pyproject.toml http-parser/setup.cfg | tools
	@echo "Setting up $(VENV) (once) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip
	@PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check ./http-parser --editable '.[dev]'
	@touch $@

# Spark and what else only the demonstration needs: 500 MB that nobody else has to fetch.
$(DEMO): setup.cfg $(READY)
	@echo "Fetching Spark (once) …"
	@PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

tools:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2])' 2>/dev/null || \
	  { echo "Python 3.11 or newer is missing ($(PYTHON) is $$($(PYTHON) --version 2>&1)); install it (Debian: apt install python3 python3-venv), or name it: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing; install it (Debian: apt install python3-venv)."; exit 1; }
	@command -v mvn >/dev/null || { echo "Maven is missing, which fetches Alluxio's and ZooKeeper's jars; install it (Debian: apt install maven)."; exit 1; }
	@command -v "$${JAVA_HOME:+$$JAVA_HOME/bin/}java" >/dev/null || \
	  { echo "Java 17 is missing; install it (Debian: apt install openjdk-17-jdk-headless), or point JAVA_HOME to it."; exit 1; }

.DEFAULT:
	@echo "There is no target '$@'; make help lists them."; exit 2
