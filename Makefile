# make test   everything that can be tested on this machine; makes its own environment first
# make demo   a few layouts through the small models of demo/, into demo_output/; more with ARGS="--seed 1 --layout my.json"
# make results  the demo's models measured on layouts that training never saw, into docs/results/
# make bench  how fast the layers, a sampling step in ComfyUI and the editor are, into build/bench/; 16 GB of memory
# make pictures the docs' pictures of the editor
# make lint   style and types only
# make format rewrite the sources in the project's style

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

MODELS_VENV := build/models-venv
MODELS_PYTHON := $(MODELS_VENV)/bin/python
ARGS ?=

.PHONY: test demo results lint format test-core test-host test-web pictures bench

test: lint test-core test-host test-web

$(VENV)/.ready: tests/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r tests/requirements.txt
	touch $@

$(MODELS_VENV)/.ready: training/requirements.txt
	$(PYTHON) -m venv $(MODELS_VENV)
	$(MODELS_PYTHON) -m pip install --quiet torch numpy safetensors pillow -r training/requirements.txt
	touch $@

demo: $(MODELS_VENV)/.ready
	$(MODELS_PYTHON) -m demo $(ARGS)

results: $(MODELS_VENV)/.ready
	$(MODELS_PYTHON) -m shapes.comparison $(ARGS)

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p ifadapter_core
	$(BIN)/bandit -q -r __init__.py nodes ifadapter_core

format: $(VENV)/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-core: $(VENV)/.ready
	$(BIN)/python -m pytest tests/core tests/repository tests/training tests/evaluation

test-host: $(VENV)/.ready
	$(BIN)/python tests/run_host_tests.py

node_modules/.ready: package.json
	npm install --silent --no-package-lock
	touch $@

build/frontend/.ready: tests/web/requirements.txt $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target build/frontend -r tests/web/requirements.txt
	touch $@

ifeq ($(shell which npm 2>/dev/null),)
test-web:
	@echo "editor tests skipped: no npm. Install Node.js 20 or newer."
else
test-web: node_modules/.ready build/frontend/.ready
	npm test --silent
endif

pictures: node_modules/.ready build/frontend/.ready
	node tests/web/pictures.js

bench: $(VENV)/.ready node_modules/.ready build/frontend/.ready
	$(BIN)/python benchmarks/run.py
