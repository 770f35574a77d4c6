# `make help` lists the verbs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install quickstart test check lint format types bench reference clean

help:  ## list the verbs
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(READY)  ## make .venv and install relbench with the versions of constraints.txt

$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "relbench needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "the module venv is missing: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --require-hashes -r constraints.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

quickstart: $(READY)  ## teacher and students on Glyphs: table, plots and report in results/quickstart
	$(BIN)/relbench reproduce quickstart

test: $(READY)  ## run the tests
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadscope --no-loadscope-reorder

check: lint types test  ## lint, format, types, tests: what CI runs

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(READY)  ## put the code into the house's form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(READY)
	$(BIN)/mypy

bench: $(READY)  ## measure speed and memory beside the plain forms
	$(BIN)/relbench bench

reference: $(READY)  ## make a study's committed result anew: make reference STUDY=quickstart
	$(BIN)/python scripts/make_reference.py $(or $(STUDY),quickstart)

clean:  ## remove .venv (results and data stay)
	rm -rf $(VENV)
