# Every target does its own set-up: a fresh machine needs Python 3.11 and make.
PYTHON ?= python3
BIN := .venv/bin
FUZZ_SECONDS ?= 300

.PHONY: demo test lint format bench fuzz soak docs clean

demo:
	@$(PYTHON) tools/prepare.py
	@$(BIN)/vecwire demo

test:
	@$(PYTHON) tools/prepare.py test bench peers
	@$(BIN)/pytest $(PYTEST_ARGS)

lint:
	@$(PYTHON) tools/prepare.py lint test bench fuzz
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format:
	@$(PYTHON) tools/prepare.py lint
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# Half an hour; SOAK_SECONDS says otherwise. The readings and their plot are left in soak/.
soak:
	@$(PYTHON) tools/prepare.py test bench peers
	@VECWIRE_SOAK_SECONDS=$(or $(SOAK_SECONDS),1800) VECWIRE_SOAK_FOLDER=soak $(BIN)/pytest -s tests/soak

bench:
	@$(PYTHON) tools/prepare.py bench peers
	@$(BIN)/vecwire bench --json bench.json $(BENCH_ARGS)

# Every target of tests/fuzz for FUZZ_SECONDS, as many at a time as there are processors; FUZZ_ARGS: a target's
# name, --keep, --report docs/security.md, --input FILE.
fuzz:
	@$(PYTHON) tools/prepare.py test fuzz sanitizers
	@PYTHONPATH=tests:tools $(BIN)/python tools/fuzzer.py --seconds $(FUZZ_SECONDS) $(FUZZ_ARGS)

docs:
	@$(PYTHON) tools/prepare.py docs
	@$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv build dist site src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
