# Everything runs in the active environment; see CONTRIBUTING.md.
.PHONY: check lint format test quick bench

check: lint test

lint:
	ruff check .
	ruff format --check .
	mypy
	lint-imports

format:
	ruff check --fix .
	ruff format .

test:
	pytest

quick:
	pytest -m "not slow"

bench:
	set -e; for script in bench/[!_]*.py; do python "$$script"; done
