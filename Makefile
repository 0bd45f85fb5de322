# The two commands of vidjax: `make demo` trains and shows, `make test` checks.
# Both make .venv themselves, or use the one that is there.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.vidjax-installed
EXTRAS := data,plot,log,weights,dev
WORKERS ?= 2

.PHONY: demo test lint types unit docs setup clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   install vidjax into .venv, train the quickstart, show its report"
	@echo "make test   lint, types and tests"
	@echo "make docs   write what docs/ shows of models and augmentation again"
	@echo "make setup  only install"

demo: $(STAMP)
	$(BIN)/vidjax train configs/quickstart.py --workdir runs/quickstart

test: lint types unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/basedpyright

unit: $(STAMP)
	$(BIN)/pytest -q -n $(WORKERS) --dist loadgroup

docs: $(STAMP)
	$(BIN)/vidjax models --page > docs/models.md
	$(BIN)/python benchmarks/attention.py --picture docs/attention.svg
	$(BIN)/python benchmarks/augmentation.py --picture docs/augmentation.jpg

setup: $(STAMP)

# A stamp newer than pyproject.toml says that everything in it is installed.
$(STAMP): pyproject.toml
	@test -x $(BIN)/python || test -n "$(PYTHON)" || { echo "vidjax needs Python 3.11, 3.12 or 3.13, and no python3 was found." >&2; exit 1; }
	@python=$$(test -x $(BIN)/python && echo $(BIN)/python || echo "$(PYTHON)"); \
	 "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	 echo "vidjax needs Python 3.11, 3.12 or 3.13, but $$python is $$("$$python" -V 2>&1); name another one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@echo "Installing vidjax and what it needs into $(VENV) (about 3 GB, some minutes) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[$(EXTRAS)]"
	@touch $@

clean:
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache
