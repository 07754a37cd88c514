# Everything a user or CI types. Needs Python 3.11 or newer and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.lock-installed

.PHONY: setup demo test coverage check bench fuzz lock clean

setup: $(STAMP)  ## build .venv from the lock and install the noctule command

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Noctule needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make setup PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check
	@touch $@

demo: setup  ## train, score three simulated nights, show what was flagged and why
	$(BIN)/noctule demo

# In the order of their names the dear files, of few tests each, come before the many of tests/unit.
test: setup  ## the whole suite, on two cores
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

coverage: setup  ## the suite again, slower, with the branches it covers
	$(BIN)/python -m pytest --cov --cov-branch

check: setup  ## lint, types, and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit/test_imports.py

bench: setup  ## the figures of the README: medians and ratios
	$(BIN)/python -m benchmarks

fuzz: setup  ## long random trials of crashes, damaged files and killed runs; a quarter of an hour
	$(BIN)/python -m fuzz

lock:  ## resolve requirements.lock anew (needs uv on the PATH)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade --quiet --output-file requirements.lock

clean:  ## remove what setup and the tests made; .noctule holds data and stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
