# make app and make test set everything up by themselves; the other targets build on the same environment.
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.dev

.PHONY: app test test-slow test-browser lint format types bench study-data study-rows study-tuning study-primary study-exploratory study-lengths study-tables clean

app: .venv/.app
	$(BIN)/deft app --demo

test: $(STAMP)
	$(BIN)/pytest

test-slow: $(STAMP)
	$(BIN)/pytest -m "slow and not browser"

test-browser: $(STAMP)
	$(BIN)/pytest -m browser

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(STAMP)
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/import.py
	$(BIN)/python benchmarks/noise.py --speed
	$(BIN)/python benchmarks/what_if.py
	$(BIN)/python benchmarks/monitor.py --quick
	$(BIN)/python benchmarks/dashboard.py --quick

# The study (docs/study/plan.md): DATA is a folder with hh_rlhf_harmless_test and finegrained_rlhf_qa_dev, DEFT_WORKSPACE the workspace it is made in.
study-data: $(STAMP)
	$(BIN)/deft import $(DATA)/hh_rlhf_harmless_test/test.jsonl.gz --name hh --heldout 0.3 --judge 0.2
	$(BIN)/deft import $(DATA)/finegrained_rlhf_qa_dev --name qa --heldout 0.3 --judge 0.2
	$(BIN)/deft score hh
	$(BIN)/deft score qa

study-rows study-tuning study-primary study-exploratory study-lengths: $(STAMP)
	$(BIN)/python docs/study/run.py $(@:study-%=%)

# One table: make study-table-primary, and so on; all of them and the pictures: make study-tables.
study-table-%: .venv/.app
	@$(BIN)/python docs/study/tables.py $*

study-tables: $(STAMP)
	$(BIN)/python docs/study/tables.py
	$(BIN)/python docs/study/pictures.py

clean:
	rm -rf .venv

# Python 3.11 under whatever name this machine knows it by.
.venv/.app: requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Expected Python 3.11 as '$(PYTHON)'; found none. Install it, or run: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(STAMP): .venv/.app requirements-dev.txt
	$(BIN)/pip install --disable-pip-version-check -r requirements-dev.txt
	touch $@
