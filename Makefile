# Everything runs in the active environment; see CONTRIBUTING.md.
BENCHES := $(filter-out bench/timing.py,$(wildcard bench/*.py))

.PHONY: check lint format test quick bench

check: lint test

lint:
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache

format:
	ruff check --fix .
	ruff format .

test:
	pytest

quick:
	pytest -m "not slow"

bench:
	set -e; for name in $(BENCHES); do python "$$name"; done
