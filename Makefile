# All commands of this project; `make help` lists them.
# Nothing here phones home: every library's telemetry is off before it is imported.
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
export YOLO_OFFLINE := true
export YOLO_AUTOINSTALL := false
export RAY_USAGE_STATS_ENABLED := 0
export MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR := false
# uv compiles nothing: without this each of the many processes would compile torch, MLflow and these modules again
unexport PYTHONDONTWRITEBYTECODE
# a small machine: MLflow's background job workers stay off
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false

# servers of this machine are asked directly, also by MLflow's own client, whatever proxy the environment names
comma := ,
export no_proxy := $(addsuffix $(comma),$(or $(no_proxy),$(NO_PROXY)))127.0.0.1,localhost
export NO_PROXY := $(no_proxy)

PYTHON ?= python3
# where `make demo` works and what `make up` serves
WORKSPACE ?= .demo
# where `make model-ci` works
MODEL_CI ?= .model-ci
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format lock bench soak up model-ci clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

# uv comes from the package registry into the environment it then fills, with version and hashes from the same lock.
.venv/.installed: requirements/dev.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@sed -n '/^uv==/,/[^\\]$$/p' requirements/dev.txt > .venv/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

install: .venv/.installed  ## set up .venv with everything the other commands need

demo: install  ## the whole lifecycle on generated cameras, from data to a served, watched model
	$(BIN)/python -m pipelines.demo --workspace $(WORKSPACE)

test: install  ## all tests
	@# by file and in this order: the demo's file is the longest and must not come last
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: install  ## ruff, mypy, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=plugins:. $(BIN)/lint-imports

format: install  ## let ruff lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Written by uv, with hashes and without any registry's address.
lock:  ## resolve the requirements files and conda.yaml anew from pyproject.toml
	$(PYTHON) requirements/lock.py

bench: install  ## side-by-side figures against peers, as ratios
	$(BIN)/python -m benchmarks

soak: install  ## what is too long for tests
	$(BIN)/python -m benchmarks.soak
	$(BIN)/python -m benchmarks.cameras --soak 200000
	GOVERNANCE_KILLS=100 $(BIN)/python -m pytest -q tests/integration/test_governed_races.py -k kill
	GOVERNANCE_WAYS=all $(BIN)/python -m pytest -q tests/integration/test_ways_round_the_gate.py -k postgresql

up: install  ## MLflow server, serving and the drift schedule together
	@mkdir -p $(WORKSPACE)
	WORKSPACE=$(abspath $(WORKSPACE)) $(BIN)/honcho start -f serving/Procfile

# The same steps as .github/workflows/model-ci.yml, with a registry of its own that is thrown away.
model-ci: install  ## data to a judged version by the tiny recipe, unless nothing changed since it passed
	$(BIN)/python -m pipelines.model_ci --workspace $(MODEL_CI)

clean:  ## remove what demo and tests made (not .venv)
	rm -rf .demo .model-ci .pytest_cache .mypy_cache .ruff_cache .hypothesis
