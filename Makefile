# Two commands: `make demo` shows the main job on this machine, `make test` checks everything. Both set up what they need.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test bench setup lint clean

demo: setup
	@$(BIN)/python -m local demo

test: setup lint
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

bench: setup
	@$(BIN)/python -m bench

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

setup: .venv/.installed
	@$(BIN)/python -m local.azurite --install

# azure-functions-runtime asks for Python 3.13 and runs unchanged on 3.11 (docs/adr/0002); hence without its metadata.
.venv/.installed: requirements.txt local/requirements.txt tests/requirements.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: set PYTHON=…")'
	@echo "Setting up .venv (once)…"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt 2>&1 | grep -v "^WARNING: Location" || true
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python \
		azure-functions-runtime==1.3.0 2>&1 | grep -v "^WARNING: Location" || true
	@$(BIN)/python -c 'import azure_functions_runtime, msgraph, hypothesis'
	@touch $@

clean:
	rm -rf .venv .local .world .mypy_cache .ruff_cache .pytest_cache .hypothesis
