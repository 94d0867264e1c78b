# make demo   trains, evaluates and searches on rendered garments (three to five minutes on 2 cores)
# make test   runs the tests (about six minutes on 2 cores)
# make serve  opens the search page on the demo's model (after make demo)
# make check  lints and type-checks
# make clean  removes .venv, builds and caches; data, runs, exports and indexes stay
# Each one sets up .venv first, once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
export TF_ENABLE_ONEDNN_OPTS ?= 1

.PHONY: demo serve test check clean

demo: $(STAMP)
	$(BIN)/python tools/demo.py

serve: indexes/demo/CURRENT
	$(BIN)/python tools/serve.py --export=exports/demo --index=indexes/demo

# A new model gives other vectors, so it needs a new export and a new index.
indexes/demo/CURRENT: exports/demo/1/saved_model.pb
	rm -rf indexes/demo
	$(BIN)/python tools/build_index.py --export=exports/demo --data_dir=data --dataset=garments/small --split=gallery --index=indexes/demo

exports/demo/1/saved_model.pb: runs/demo/full/model.json | $(STAMP)
	rm -rf exports/demo
	$(BIN)/python tools/export.py --workdir=runs/demo/full --output=exports/demo

runs/demo/full/model.json:
	@echo "There is no model to serve yet: run make demo first."; exit 1

# One process per core. The tests of a file stay together, since they share costly fixtures; files
# run in the order of tests/conftest.py.
test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

check: $(STAMP)
	$(BIN)/ruff check fashionsearchnet tools tests setup.py
	$(BIN)/ruff format --check fashionsearchnet tools tests setup.py
	$(BIN)/mypy fashionsearchnet tools tests

# An editable install: the scripts in tools/ use the package of this checkout.
$(STAMP): setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed; set PYTHON=/path/to/python3.13"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
