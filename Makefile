# make test       everything that can be tested on this machine, with the time of each part; makes its own environment
# make test-fast  the inner loop, under 2 minutes: no host, no browser, no subprocess; leaves out tests marked `slow`
# make test-core  all tests that need neither ComfyUI nor a browser: every folder of tests/ but host and web
# make test-host  the tests inside ComfyUI, newest and oldest supported
# make test-web   the layout editor, in a browser; needs Node.js 20 or newer
# make lint       style, types, security, and which package may import which
# make format     rewrite the sources in the project's style
# make demo       sample a few layouts with the small models of demo/ into demo_output/; ARGS="--seed 1 --layout my.json"
# make results    measure the demo's models on held-out layouts, into docs/results/ and two tables; ARGS="--device cuda"
# make evidence   studies of open questions, into docs/evidence.md; ARGS="--studies overlap", ARGS="--list"; it resumes
# make bench      time the layers, sampling steps in ComfyUI and the editor, into build/bench/; needs 16 GB of memory
# make gpu        correctness, speed and memory on a GPU, into build/gpu/; ARGS="--parts unet"; uses PYTHON, whose torch needs CUDA
# make pictures   the docs' pictures of the editor, the registry's icon and banner
# make thumbnails the pictures of the workflows in ComfyUI's template browser

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

MODELS_VENV := build/models-venv
MODELS_PYTHON := $(MODELS_VENV)/bin/python
ARGS ?=

# Two processes: each test uses one thread. worksteal keeps the tests of a file together while both are busy.
PARALLEL := -n 2 --dist worksteal
WITHOUT_HOST := $(filter-out tests/host/ tests/web/ %/__pycache__/,$(sort $(wildcard tests/*/)))
NPM := $(shell command -v npm 2>/dev/null)

.PHONY: test test-fast test-core test-host test-web lint lint-python lint-web format demo results evidence pictures thumbnails bench gpu

test: $(VENV)/.ready
	$(BIN)/python tests/run_parts.py lint test-core test-host test-web

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
	$(MODELS_PYTHON) -m shapes.comparison --update README.md demo/README.md $(ARGS)

evidence: $(MODELS_VENV)/.ready
	$(MODELS_PYTHON) -m shapes.evidence --update README.md $(ARGS)

lint: lint-python lint-web

# lint_imports.py links the packages in build/pack/ifadapter_pack, where mypy can resolve the imports of nodes/.
lint-python: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/lint_imports.py
	$(BIN)/mypy -p ifadapter_core -p ifadapter_diffusers -p shapes -p training -p demo -p evaluation
	cd build/pack && $(abspath $(BIN))/mypy --config-file ../../pyproject.toml --cache-dir ../../.mypy_cache -p ifadapter_pack.nodes
	$(BIN)/bandit -q -r __init__.py nodes ifadapter_core

format: $(VENV)/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-core: $(VENV)/.ready
	$(BIN)/python -m pytest $(PARALLEL) $(WITHOUT_HOST) $(ARGS)

test-fast: $(VENV)/.ready
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow" $(WITHOUT_HOST) $(ARGS)

test-host: $(VENV)/.ready
	$(BIN)/python tests/run_host_tests.py $(ARGS)

node_modules/.ready: package.json
	npm install --silent --no-package-lock
	touch $@

build/frontend/.ready: tests/web/requirements.txt $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target build/frontend -r tests/web/requirements.txt
	touch $@

ifeq ($(NPM),)
test-web:
	@echo "editor tests skipped: no npm. Install Node.js 20 or newer."

lint-web:
	@echo "editor lint skipped: no npm. Install Node.js 20 or newer."
else
test-web: node_modules/.ready build/frontend/.ready
	npm test --silent

lint-web: node_modules/.ready
	npm run lint --silent
endif

pictures: $(VENV)/.ready node_modules/.ready build/frontend/.ready
	$(BIN)/python docs/images/make_icon_and_banner.py
	node tests/web/pictures.js

thumbnails: node_modules/.ready build/frontend/.ready
	node tests/web/thumbnails.js

bench: $(VENV)/.ready node_modules/.ready build/frontend/.ready
	$(BIN)/python benchmarks/run.py

# With the Python of the machine, not the project's own, which has torch for the CPU.
gpu:
	$(PYTHON) benchmarks/gpu.py $(ARGS)
