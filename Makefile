# make demo · make demo-real · make test · make format · make slow · make gpu · make docs · make mutants
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: install demo demo-real test format slow gpu docs mutants

install: $(INSTALLED)

$(INSTALLED): pyproject.toml .requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement .requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

demo: install
	$(BIN)/lmd-bench search --dataset synthetic --method lmd,crt,logit_adjustment,cross_entropy \
		--imbalance-factor 50 --n-max 200 --image-size 16 --trials 2 --epochs 4 --confirm-seeds 2 \
		--set training.batch_size=32
	$(BIN)/lmd-bench leaderboard

# HAM10000, PBC and Chula RBC-12 from $LMD_BENCH_DATA or ../shared/data; what is not there is said,
# and fetched with: make demo-real ACCEPT_LICENCES=1
demo-real: install
	$(BIN)/python examples/real_data.py $(if $(ACCEPT_LICENCES),--accept-licences)

test: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright --level error
	$(BIN)/lint-imports
	$(BIN)/pytest -q -n 2 -m "not slow and not real and not gpu"

slow: install
	$(BIN)/pytest -q -m "slow or real"

# On a machine with a CUDA device; elsewhere these tests skip themselves.
gpu: install
	$(BIN)/pytest -q -rs -m gpu tests

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: install
	$(BIN)/python docs/generate.py

# One module alone: make mutants ONLY='lmd_bench.methods.best_epoch.*'
mutants: install
	$(BIN)/mutmut run $(if $(ONLY),'$(ONLY)')
	$(BIN)/mutmut results
