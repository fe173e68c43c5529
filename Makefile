# make test   everything that can be tested on this machine; makes its own environment first
# make lint   style and types only
# make format rewrite the sources in the project's style

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: test lint format test-core test-host

test: lint test-core test-host

$(VENV)/.ready: tests/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r tests/requirements.txt
	touch $@

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p ifadapter_core

format: $(VENV)/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-core: $(VENV)/.ready
	$(BIN)/python -m pytest tests/core tests/repository tests/training

test-host: $(VENV)/.ready
	$(BIN)/python tests/run_host_tests.py
