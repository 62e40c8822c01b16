PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python
# the rows of the committed table, in this order
EXP ?= fc_nsmc cnn_nsmc bilstm_nsmc seed_cnn_nsmc seed_bilstm_nsmc \
	fc_nsmc_scratch cnn_nsmc_scratch bilstm_nsmc_scratch seed_cnn_nsmc_scratch seed_bilstm_nsmc_scratch

.DEFAULT_GOAL := help
.PHONY: help venv quickstart test check table

help:  ## show the targets
	@sed -n 's/^\([a-z]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

venv: $(VENV)/installed  ## make the environment (.venv) with the pinned versions

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install -q -c constraints.txt torch
	$(RUN) -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@

quickstart: venv  ## compare three heads on the bundled encoder and reviews: a table in three minutes
	$(RUN) scripts/compare.py --exp fc_reviews cnn_reviews bilstm_reviews --report_to none \
		--runs_dir runs/quickstart --results_dir runs/quickstart/results

test: venv  ## lint and test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n 2

check: venv  ## fail if the committed tables differ from what the records give
	$(RUN) scripts/compare.py --exp $(EXP) --check

table: venv  ## make the tables from the records
	$(RUN) scripts/compare.py --exp $(EXP) --report_only
