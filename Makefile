# shopbot: one command each for trying, testing, measuring. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test bench format lint types unit clean .venv

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The first of these that is 3.11, which is what constraints.txt was tested with; PYTHON=… takes another.
PYTHON ?= $(firstword $(foreach name,python3.11 python3 python,\
	$(if $(shell $(name) -c 'import sys; print(1 if sys.version_info[:2] == (3, 11) else "")' 2>/dev/null),$(name))))
# Further arguments for installing torch, for example an index that has the CPU build (see README, "Installing").
TORCH_ARGS ?=
SHOP ?= sample_shop
QUICK ?=
ONLY ?=

# Runs a command and says how long it took: $(call timed,NAME,COMMAND). `set -e` would not see the first half of `a && b`.
timed = @begin=$$SECONDS; echo "── $(1)"; if $(2); then echo "── $(1): $$((SECONDS - begin)) s"; \
	else echo "── $(1) FAILED after $$((SECONDS - begin)) s"; exit 1; fi

help: ## Show this help
	@echo "make TARGET, where TARGET is one of:"
	@awk -F ':.*## ' '/^[a-z.]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  SHOP=DIR      another shop folder for demo      QUICK=1       quick forms for bench"
	@echo "  PYTHON=PATH   another Python 3.11               ONLY=\"A B\"    only these benchmarks"

demo: $(STAMP) ## Talk to the sample shop's agent in the browser (installs everything first)
	@echo "── 1 of 2: the small dialogue model"
	@$(BIN)/shopbot model fetch \
		|| echo "No dialogue model: the demo answers in the words of the sources all the same."
	@echo "── 2 of 2: the demo"
	@$(BIN)/python demo.py --shop $(SHOP)

test: lint types unit ## Check style and types, run all tests, then the quick benchmarks
	@$(MAKE) --no-print-directory bench QUICK=1

lint: $(STAMP) ## Check style and format
	$(call timed,ruff,$(BIN)/ruff check . && $(BIN)/ruff format --check .)

types: $(STAMP) ## Check types
	$(call timed,pyright,$(BIN)/pyright)

unit: $(STAMP) ## Run the tests (those marked gpu excepted)
	$(call timed,pytest,$(BIN)/python -m pytest -q)

bench: $(STAMP) ## Run the benchmarks into benchmarks/results (QUICK=1: the quick forms)
	$(call timed,benchmarks,$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(ONLY))

format: $(STAMP) ## Format the code and mend what can be mended
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

clean: ## Remove what builds and tests leave behind (keeps .venv and fetched weights)
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis benchmarks/results/quick
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

.venv: $(STAMP) ## Make the environment: the set of constraints.txt, and shopbot itself

# Bytecode is left to the first import: compiling all of it takes as long as installing, and most is never imported.
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --no-compile $(if $(CI),-q)

# Written last, so that an interrupted install is taken up again. torch comes first: other packages would take any build.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 was not found. Install it, or say where: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "── environment: about 230 packages, 4 GB on disk; two to five minutes"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "── 1 of 3: torch"
	@$(INSTALL) $(TORCH_ARGS) -c constraints.txt torch
	@echo "── 2 of 3: the tested set"
	@$(INSTALL) --no-deps -r constraints.txt
	@echo "── 3 of 3: shopbot"
	@$(INSTALL) -q --no-deps --no-build-isolation -e .
	@touch $(STAMP)
	@echo "── environment ready in $(VENV): $$($(BIN)/python -m pip list 2>/dev/null | wc -l) packages"
