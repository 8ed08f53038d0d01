# Two commands on a fresh machine: `make run` and `make test`. Each does all of its own set-up.
PYTHON ?= python3
FUZZ_SECONDS ?= 60
TEST_PROCESSES ?= 3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help run test check install fuzz bench docs lock clean

help:
	@echo "make help     this list"
	@echo "make install  set up .venv with the command longcode, and start nothing"
	@echo "make run      set up everything and start Longcode on http://127.0.0.1:8080"
	@echo "make test     set up everything and run the whole suite, on TEST_PROCESSES processes"
	@echo "make check    format, lint, types and layers"
	@echo "make bench    measure; prints figures"
	@echo "make fuzz     feed octets to what speaks SMPP, for FUZZ_SECONDS"
	@echo "make docs     write the generated pages of docs/ anew"
	@echo "make lock     resolve the dependencies anew into requirements/"
	@echo "make clean    remove .venv and the caches; the folder data stays"

run: install
	$(BIN)/longcode up

install: $(VENV)/.run

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

# Bounded; a finding is written to .cache/ as crash-…, and the exit status is not 0.
fuzz: $(VENV)/.dev requirements/fuzz.txt
	$(PIP) install --require-hashes -r requirements/fuzz.txt
	@mkdir -p .cache/fuzz
	$(BIN)/python -m fuzz.smpp -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=.cache/ .cache/fuzz

docs: $(VENV)/.dev
	$(BIN)/python -m longcode.docs

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Longcode needs Python 3.11 to 3.13 (set PYTHON=…)")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python requirements/run.txt pyproject.toml
	$(PIP) install --require-hashes -r requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

# Needs `uv` on the PATH; only whoever changes a dependency runs this.
lock:
	uv pip compile pyproject.toml --group build --universal --generate-hashes --no-annotate --quiet \
		--custom-compile-command "make lock" -o requirements/run.txt
	uv pip compile pyproject.toml --group build --group dev --universal --generate-hashes --no-annotate --quiet \
		--custom-compile-command "make lock" -c requirements/run.txt -o requirements/dev.txt
	uv pip compile --group fuzz --universal --generate-hashes --no-annotate --quiet \
		--custom-compile-command "make lock" -c requirements/dev.txt -o requirements/fuzz.txt

clean:
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
