# make demo    rerank real search results with the embedded model
# make test    all tests
# make test-clients   of these, only real clients against a live server
# make check   formatting, lints, types
# make bench   speed against other libraries
# make load    the server under load, beside infinity
# make default-model   the embedded model made anew (SMOKE=1: a try in two minutes, not embedded)
# make small-model   the embedded small model made anew, from the default one
# make setup   the development environment, in .venv

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Labelled data for tests and benchmarks; what needs it is skipped where it is absent.
CROSSRANK_DATA ?= $(realpath $(CURDIR)/../shared/data)
export CROSSRANK_DATA

.PHONY: demo test test-clients check bench load default-model small-model setup clean

demo: .venv/.demo
	$(BIN)/crossrank demo

CLIENTS := .venv-clients-current/.built .venv-clients-pinned/.built

# Two processes: most tests keep one core busy. A file stays in one of them, with what it sets up.
test: .venv/.dev $(CLIENTS)
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-clients: .venv/.dev $(CLIENTS)
	$(BIN)/python -m pytest tests/e2e/clients

check: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/.dev
	$(BIN)/python benchmarks/run.py

load: .venv/.dev .venv-infinity/.built
	$(BIN)/python benchmarks/server/load.py

default-model: .venv/.dev
	$(BIN)/python recipes/default_model/make.py $(if $(SMOKE),--smoke)

small-model: .venv/.dev
	$(BIN)/python recipes/default_model/small.py --embed

setup: .venv/.dev

clean:
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/.base:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	touch $@

.venv/.demo: .venv/.base pyproject.toml constraints.txt
	$(PIP) -e ".[demo]"
	touch $@

.venv/.dev: .venv/.base pyproject.toml constraints.txt
	$(PIP) -e . --group dev
	touch $@ .venv/.demo

.venv-clients-%/.built: tests/e2e/clients/requirements-%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

.venv-infinity/.built: benchmarks/server/infinity.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@
