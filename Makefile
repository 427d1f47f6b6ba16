# `make help` lists what can be made. Every target first sees to its own .venv: made once, renewed when pyproject.toml or
# constraints.txt changes, otherwise left alone.
#
# Variables:  PYTHON       the interpreter to build .venv with (3.11 or newer; found by itself)
#             PIP_ARGS     more words for `pip install`
#             TORCH_INDEX  address of PyTorch's index of CPU builds (see its install page). Without it pip takes what the
#                          machine is set up for, which on Linux may be the CUDA build of several GB; both work.
#             BUDGET       what `make demo` may spend (60s)
#             WORKERS      processes that `make test` and `make test-all` share the work among (the cores)

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BUDGET ?= 60s
WORKERS ?= $(shell nproc 2>/dev/null || echo 1)
PIP_INSTALL = $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(PIP_ARGS)
# Each test process computes on one core: together they use them all, and timings stay comparable.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

.PHONY: help venv demo test test-all check bench peers tree clean
.DEFAULT_GOAL := help

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' Makefile

venv: $(STAMP) ## make or renew .venv; nothing happens when it is up to date

$(STAMP): pyproject.toml constraints.txt
	@python="$(PYTHON)"; \
	for p in python3.11 python3.12 python3.13 python3; do \
		[ -z "$$python" ] || break; \
		if $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$p; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "error: no Python 3.11 or newer with venv was found" >&2; \
		echo "  hint: install python3.11 (and python3.11-venv), or name one with make PYTHON=PATH" >&2; exit 2; \
	fi; \
	if ! $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "making $(VENV) with $$python"; rm -rf $(VENV); $$python -m venv $(VENV); \
	fi
	@echo "installing tuneful and its tools into $(VENV), as pinned in constraints.txt (a few minutes the first time)"
	@$(PIP_INSTALL) hatchling editables
	@$(PIP_INSTALL) --no-build-isolation -e '.[dev]'
	@touch $(STAMP)

demo: $(STAMP) ## tune a model for scikit-learn's digits within BUDGET; says where report and artifact lie
	@echo "tuneful optimize digits --budget $(BUDGET)"
	@$(BIN)/tuneful optimize digits --budget $(BUDGET)
	@run=$$(ls -td "$${TUNEFUL_HOME:-runs}"/*/report.html | head -1); run=$${run%/report.html}; \
	ls -d "$$run/artifact" >/dev/null && printf 'report:    %s\nartifact:  %s\n' "$$run/report.html" "$$run/artifact"

test: $(STAMP) ## the tests, less the slow ones
	@echo "running the tests that are not slow, in $(WORKERS) processes"
	@$(PYTEST) -m "not slow"

test-all: $(STAMP) ## every test
	@echo "running every test, in $(WORKERS) processes"
	@$(PYTEST)

check: $(STAMP) ## ruff (rules and format), pyright, and the floors of the house
	@echo "checking: ruff, ruff format, pyright, import-linter"
	@failed=0; \
	$(BIN)/ruff check . || failed=1; \
	$(BIN)/ruff format --check . || failed=1; \
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python || failed=1; \
	$(BIN)/lint-imports || failed=1; \
	exit $$failed

bench: $(STAMP) ## run every script in benchmarks/, one after the other
	@found=; for script in benchmarks/*.py; do \
		[ -e "$$script" ] || continue; found=1; echo "$$script"; $(BIN)/python "$$script" || exit 1; \
	done; [ -n "$$found" ] || echo "benchmarks/ holds no script yet; nothing was measured"

peers: ## make .venv-peers, where benchmarks meet other packages
	@[ -x .venv-peers/bin/python ] || $(or $(PYTHON),python3) -m venv .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(PIP_ARGS) torch==2.13.0 pytorch_optimizer timm \
		lightning keras skorch pytorch-ignite accelerate transformers -e .

tree: $(STAMP) ## bring the tree in both READMEs up to date (captions that are there stay)
	@$(BIN)/python tests/house/tree.py README.md README.zh-CN.md

clean: ## remove .venv and what tools leave behind; runs/ stays
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
