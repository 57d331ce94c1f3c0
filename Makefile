PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOWEST := .venv-lowest
EXTRAS := .venv-extras
BROWSER := .venv-browser

.DEFAULT_GOAL := help
.PHONY: help install run ui test lint bench lowest extras browser check-all

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY) ## make .venv and install the project into it

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "genattr needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check --quiet --editable '.[dev]'
	@touch $(READY)

run: $(READY) ## explain two photos by four methods, and say where to look
	$(BIN)/python run.py experiment=demo

ui: $(READY) ## open the recorded runs in MLflow, on this machine only
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --backend-store-uri 'sqlite:///$(CURDIR)/mlflow.db'

test: $(READY) ## run the tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

bench: $(READY) ## time the fast paths against their peers, short; benchmarks/README.md has full runs
	$(BIN)/python -m benchmarks.occlusion --short
	$(BIN)/python -m benchmarks.lime --short
	$(BIN)/python -m benchmarks.mask_methods --rounds 1 --steps 5 --threads 1 --methods naive mp2
	$(BIN)/python -m benchmarks.deletion --short

lowest: $(READY) ## run the tests with the lowest versions that pyproject.toml allows
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LOWEST)
	$(BIN)/uv pip install --quiet --python $(LOWEST) --resolution lowest-direct --editable '.[dev]'
	$(LOWEST)/bin/python -m pytest $(PYTEST_ARGS)

extras: $(READY) ## run the tests of what needs TensorFlow, ONNX Runtime or transformers
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(EXTRAS)
	$(BIN)/uv pip install --quiet --python $(EXTRAS) --editable '.[dev,huggingface,onnx,tensorflow]' onnxscript
	$(EXTRAS)/bin/python -m pytest tests/classifier tests/filler tests/contract $(PYTEST_ARGS)

browser: $(READY) ## look at the UI and the pages in Chromium
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(BROWSER)
	$(BIN)/uv pip install --quiet --python $(BROWSER) --editable '.[dev,browser]'
	$(BROWSER)/bin/python -m pytest tests/browser -m browser $(PYTEST_ARGS)

check-all: lowest extras browser ## run what make test and make lint leave out, long

lint: $(READY) ## check style, types and which rooms import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
