# Every target does its own set-up: a fresh machine needs Python 3.11 and make.
PYTHON ?= python3
BIN := .venv/bin
FUZZ_SECONDS ?= 300

.PHONY: demo test test-asan test-valgrind lint format bench fuzz soak docs clean

demo:
	@$(PYTHON) tools/prepare.py
	@$(BIN)/vecwire demo

test:
	@$(PYTHON) tools/prepare.py test bench peers
	@$(BIN)/pytest $(PYTEST_ARGS)

# The same tests on modules built with clang's AddressSanitizer and UndefinedBehaviorSanitizer.
test-asan:
	@$(PYTHON) tools/prepare.py test bench peers sanitizers
	@$(BIN)/python tools/asan.py $(ASAN_ARGS) pytest $(PYTEST_ARGS)

# One pass of the path, its every instruction watched for memory that was never written. valgrind makes system calls of
# its own in every thread, and knows not all that a filter of them takes to load: workers are not held to theirs.
test-valgrind:
	@$(PYTHON) tools/prepare.py test bench peers valgrind
	@VECWIRE_TEST_CONFINE=off PYTHONMALLOC=malloc valgrind --error-exitcode=86 --child-silent-after-fork=yes \
		--suppressions=tests/valgrind.supp $(BIN)/python -m pytest tests/kernel/test_one_pass.py --timeout 0

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
