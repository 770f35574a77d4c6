# `make help` lists the verbs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
# An index of CPU-only wheels of torch: the libraries for GPUs, most of the 7 GB, are then left out.
TORCH_INDEX ?=
# Of the quick start, with commas between; its own seven where none are named.
SEEDS ?=

.DEFAULT_GOAL := help
.PHONY: help install quickstart test check lint format types bench gpu-check docs reference clean

help:  ## list the verbs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(READY)  ## make .venv and install relbench with the versions of constraints.txt (7 GB)

$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "relbench needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "the module venv is missing: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
ifeq ($(TORCH_INDEX),)
	$(BIN)/python -m pip install --require-hashes -r constraints.txt
else
	awk '/^[a-z]/ {gpu = /^(torch|torchvision|triton)==|^(nvidia|cuda)-/} !gpu' constraints.txt > $(VENV)/without-torch.txt
	$(BIN)/python -m pip install --no-deps --require-hashes -r $(VENV)/without-torch.txt
	$(BIN)/python -m pip install --no-deps --index-url $(TORCH_INDEX) $$(grep -oE '^torch(vision)?==[0-9.]+' constraints.txt)
endif
	$(BIN)/python -m pip install --no-deps --no-build-isolation --editable .
	@touch $@

quickstart: $(READY)  ## teacher and students on Glyphs: table, plots and report; SEEDS=0,1,2 is quicker than its seven
	$(BIN)/relbench reproduce quickstart $(if $(SEEDS),--seeds '$(SEEDS)')

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

gpu-check: $(READY)  ## check a machine with a GPU, in about five minutes: right numbers, speed, memory; writes gpu.json
	$(BIN)/relbench bench gpu

docs: $(READY)  ## build the documentation, without network: docs/_build/html/index.html
	$(BIN)/python -m sphinx --fresh-env --fail-on-warning --keep-going --quiet docs docs/_build/html

reference: $(READY)  ## make a study's committed result anew: make reference STUDY=quickstart
	$(BIN)/python scripts/make_reference.py $(or $(STUDY),quickstart)

clean:  ## remove .venv (results and data stay)
	rm -rf $(VENV)
