# `make run` simulates a device, `make test` tests the program; `make help` lists the rest.
# Needs Python 3.11 to 3.15 and the packages that pip fetches: no compiler, no server, no account.

PYTHON ?= python3
# Not from the environment: it may hold another program's, and `make clean` removes it. make VENV=... does.
VENV := .venv
RUN := runs/ogb_20nm
# The Verilog-A compiler (90 MB) comes along where ngspice is there to run what it makes.
COMMA := ,
TEST_EXTRAS := test,viz,docs$(if $(shell command -v ngspice 2>/dev/null),$(COMMA)spice)

# A file of tests stays in one process: what its tests share is made once. PARALLEL= runs them in one.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile

BIN := $(VENV)/bin
# An environment names the folder that it is of: a checkout that was moved or copied makes its own.
HERE := $(shell pwd -P | cksum | cut -d ' ' -f 1)
INSTALLED := $(VENV)/.installed-$(HERE)
READY_TO_TEST := $(VENV)/.ready-to-test-$(HERE)

# What is started here finds the byte code of what was started before, on machines too that ask for none.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install run test test-all bench reproduce docs lint clean check-python

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

install: $(INSTALLED)  ## Make .venv and compile the kernels, and run nothing
	@$(BIN)/kmc warmup

run: $(INSTALLED)  ## Simulate the 20 nm OGB device and draw its current against voltage
	@if [ -d $(RUN)/out ]; then echo "Removing the earlier results in $(RUN)/out"; rm -rf $(RUN)/out; fi
	@$(BIN)/kmc warmup
	@$(BIN)/kmc run $(RUN)/run.yaml --out $(RUN)/out
	@echo
	@echo "Dataset: $$(ls $(RUN)/out/*.nc)"
	@echo "Picture: $$(ls $(RUN)/out/*.png)"

test: $(READY_TO_TEST)  ## Run the tests that take minutes at most
	@$(BIN)/kmc warmup
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

test-all: $(READY_TO_TEST)  ## Run the slow tests too
	@$(BIN)/kmc warmup
	$(BIN)/python -m pytest $(PARALLEL) --no-loadscope-reorder -m "slow or not slow" $(PYTEST_ARGS)

bench: $(READY_TO_TEST)  ## Run every benchmark (long); `kmc bench NAME` runs one
	@for name in $$($(BIN)/kmc bench); do $(BIN)/kmc bench $$name || exit; done

reproduce: $(INSTALLED)  ## Make every figure of the experiment, the scoreboard and its page
	@$(BIN)/kmc warmup
	@$(BIN)/kmc reproduce --out runs/reproduce/out || { code=$$?; [ $$code -eq 3 ] || exit $$code; \
	  echo "Stopped, or some runs failed (see above): the scoreboard has what is done"; }
	@cp runs/reproduce/out/scoreboard.json analysis/kmc_analysis/experiment/figures/scoreboard.json
	@$(BIN)/python docs/make_reference.py

docs: $(INSTALLED)  ## Build the documentation into docs/_build
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -e '.[docs]'
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "Documentation: docs/_build/html/index.html"

lint: $(READY_TO_TEST)  ## Check style, types and the layers of the packages
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m mypy

clean:  ## Remove the environment, the caches and all results
	rm -rf $(VENV) dist build docs/_build .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis runs/*/out
	find kmc analysis tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment is made once and made again when pyproject.toml changes. The stamps come last, so that an
# installation that was cut short starts afresh.
$(INSTALLED): pyproject.toml
	@$(MAKE) --no-print-directory check-python
	@echo "Making the Python environment $(VENV) (once; about a minute)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -e .
	@touch $@

$(READY_TO_TEST): $(INSTALLED)
	@echo "Installing what the tests need"
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -e '.[$(TEST_EXTRAS)]'
	@touch $@

check-python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "make: there is no '$(PYTHON)' here; install Python 3.11 or later, or name one: make PYTHON=python3.13" >&2; \
	  exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 16))' || { \
	  echo "make: '$(PYTHON)' is $$($(PYTHON) --version 2>&1), but Python 3.11 to 3.15 is needed;" \
	       "name another one: make PYTHON=python3.13" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "make: '$(PYTHON)' cannot make environments (no venv or ensurepip); on Debian and Ubuntu:" \
	       "apt install python3-venv" >&2; exit 2; }
