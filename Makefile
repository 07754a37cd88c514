# The commands that users and CI type. Needs only Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.lock-installed

.PHONY: setup demo test coverage check bench fuzz docs pictures lock clean

setup: $(STAMP)  ## create .venv from the lock and install the noctule command

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Noctule needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make setup PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check
	@touch $@

demo: setup  ## train a model, score three simulated nights, show what was flagged and why
	$(BIN)/noctule demo

# Files run in the order of their names: the slow ones (browser, flows) first, so that both cores stay busy.
test: setup  ## run the whole suite on two cores
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

coverage: setup  ## run the suite with branch coverage; slower
	$(BIN)/python -m pytest --cov --cov-branch

check: setup  ## run the linter, the type checker and the test of import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit/test_imports.py

bench: setup  ## print the figures of docs/benchmarks.md
	$(BIN)/python -m benchmarks

fuzz: setup  ## run random trials of crashes, damaged files and killed runs for a quarter of an hour
	$(BIN)/python -m fuzz

docs: setup  ## generate the pages in docs/ that are made from the code
	$(BIN)/python -m expectations.dictionary
	$(BIN)/python -m storage.views.page
	$(BIN)/python -m flows.settings_page

pictures: setup  ## take the screenshots in docs/images again; needs Chromium (tests/browser/install-chromium)
	$(BIN)/python -m tests.browser.take_pictures

lock:  ## update requirements.lock (needs uv on the PATH)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade --quiet --output-file requirements.lock

clean:  ## remove what setup and the tests created; keep .noctule, which holds data
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
