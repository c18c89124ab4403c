# Every target makes .venv when it is missing or older than the lock: with what runs need, or with the tools of tests and
# style as well. Wheels are compiled by all cores instead of one by one, which is half of the time.
PYTHON ?= python3
BIN := .venv/bin
EXPERIMENT ?= initialization
ARGS ?=
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c requirements.lock
COMPILE = $(BIN)/python -m compileall -qq -j 0 .venv/lib || true  # some packages bring files for other Pythons

.DEFAULT_GOAL := help
.PHONY: help setup sweep run ui sync verify test lint bench report findings proof film notebook battery torture fuzz audit atlas lock clean

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
	@$(BIN)/python experiments/train.py -m experiment='$(EXPERIMENT)' $(ARGS)

run: .venv/installed ## train and record one network (ARGS="model.activation=relu")
	@$(BIN)/python experiments/train.py $(ARGS)

ui: .venv/installed ## compare the recorded runs in the MLflow UI
	@$(BIN)/python experiments/ui.py $(ARGS)

sync: .venv/installed ## bring MLflow level with the run folders (ARGS="EXPERIMENT --uri http://...")
	@$(BIN)/python experiments/sync.py $(ARGS)

verify: .venv/installed ## check every run folder against its checksums
	@$(BIN)/python experiments/verify.py $(ARGS)

report: .venv/installed ## write one page about a sweep (EXPERIMENT=initialization)
	@$(BIN)/python experiments/report.py $(ARGS) -- '$(EXPERIMENT)'

findings: .venv/installed ## run all experiments and write what they found (ARGS="symmetry", ARGS=--check)
	@$(BIN)/python -m experiments.findings $(ARGS)

proof: .venv/installed ## write the numbers that the README rests on
	@$(BIN)/python -m experiments.proof

film: .venv/installed ## make a film of one network while it learns (ARGS="model.activation=relu seed=7")
	@$(BIN)/python -m experiments.film $(ARGS)

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

bench: .venv/developing ## time the core beside its peers, one core, one BLAS thread
	@$(BIN)/python -m experiments.bench.speed $(ARGS)
	@$(BIN)/python -m experiments.bench.sweeps
	@$(BIN)/python -m experiments.bench.loading

battery: .venv/developing ## train the battery of planted diseases; measure the verdicts' errors (docs/battery.md)
	@PYTHONPATH=tests $(BIN)/python -m battery $(ARGS)

atlas: .venv/installed ## draw the pictures of docs/diagnostics.md
	@$(BIN)/python -m experiments.atlas

audit: .venv/installed ## ask the public list of known vulnerabilities about all dependencies (needs the internet)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	@$(BIN)/pip-audit --requirement requirements.lock --no-deps --disable-pip

torture: .venv/developing ## kill sweeps at a hundred random moments and count what is lost
	@$(BIN)/python tests/torture.py $(ARGS)

fuzz: .venv/developing ## give the readers 10,000 wrong configs and 10,000 wrong data files; count what breaks
	@PYTHONPATH=tests $(BIN)/python -m fuzz $(ARGS)

lock: .venv/installed ## renew the pinned versions
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@{ head -n 1 requirements.lock; $(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --fork-strategy fewest \
	  --no-annotate --no-header --extra dev --extra notebook --extra cluster pyproject.toml; } > .venv/lock && mv .venv/lock requirements.lock

clean: ## remove .venv and caches; results/ stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
