# Short names for the most frequent commands. Every target first makes .venv if it is missing or older than the lock:
# with the packages that runs need, or also with the tools for tests and style.
PYTHON ?= python3
BIN := .venv/bin
EXPERIMENT ?= initialization
ARGS ?=
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c requirements.lock
COMPILE = $(BIN)/python -m compileall -qq -j 0 .venv/lib || true  # on all cores; some packages bring files for other Pythons

.DEFAULT_GOAL := help
.PHONY: help setup sweep run ui report findings notebook test lint bench check clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/developing ## make .venv with the pinned versions and all tools

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "nnlab needs Python 3.11 or later; $(PYTHON) is older. Name another: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(INSTALL) -e .
	@$(COMPILE)
	@touch $@

.venv/developing: .venv/installed
	$(INSTALL) -e '.[dev]'
	@$(COMPILE)
	@touch $@

sweep: .venv/installed ## train and record a sweep (EXPERIMENT=initialization, ARGS="model.hidden_size=2,4")
	@$(BIN)/nnlab sweep '$(EXPERIMENT)' $(ARGS)

run: .venv/installed ## train and record one network (ARGS="model.activation=relu")
	@$(BIN)/nnlab run $(ARGS)

ui: .venv/installed ## compare the recorded runs in the MLflow UI
	@$(BIN)/nnlab ui $(ARGS)

report: .venv/installed ## write the report on an experiment (EXPERIMENT=initialization)
	@$(BIN)/nnlab report $(ARGS) -- '$(EXPERIMENT)'

findings: .venv/installed ## run all experiments and write their findings (ARGS="symmetry", ARGS=--check)
	@$(BIN)/python -m experiments $(ARGS)

notebook: .venv/installed ## open the notebooks
	@$(BIN)/python -m jupyterlab --version >/dev/null 2>&1 || \
	  { $(INSTALL) -e '.[notebook]' && { $(COMPILE); }; }
	@$(BIN)/python -m jupyterlab $(ARGS) notebooks

test: .venv/developing ## run the tests
	@$(BIN)/python -m pytest -n auto --dist loadgroup $(ARGS)

lint: .venv/developing ## check style, types and the walls between rooms
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: .venv/developing ## time the core, sweeps and loading beside their peers, on one core
	@$(BIN)/python -m benchmarks.speed $(ARGS)
	@$(BIN)/python -m benchmarks.sweeps
	@$(BIN)/python -m benchmarks.loading

check: .venv/developing ## run the slow checks: verdicts, wrong input, killed sweeps, known vulnerabilities
	@$(BIN)/python -m benchmarks.battery
	@$(BIN)/python -m benchmarks.fuzz
	@$(BIN)/python -m benchmarks.torture
	@$(BIN)/python -m benchmarks.audit

clean: ## remove .venv and caches; results/ stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
