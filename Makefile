# Two commands do everything on a fresh machine: `make demo` and `make test`. While at work, `make fast`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
RUN := runs/shapes_r18

.PHONY: demo test fast lint docs clean

# The environment is made once, and again when the dependencies change.
$(STAMP): pyproject.toml setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

demo: $(STAMP)
	test -f $(RUN)/checkpoints/best/model.safetensors || $(BIN)/python tools/train_det.py --cfg shapes_r18 --out $(RUN) --resume
	$(BIN)/python tools/eval_det.py --weights $(RUN)
	$(BIN)/python tools/visualize.py --weights $(RUN) --limit 12

test: $(STAMP) lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --quiet

# Without the tests marked slow: those that take over half a second, start a process or look at a trained run.
fast: $(STAMP) lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --quiet -m "not slow"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site, from docs/ into build/docs; warnings are errors, and nothing is fetched.
docs: $(STAMP)
	$(BIN)/python -m sphinx -c docs/site -d build/doctrees -E -n -q -W --keep-going -b html docs build/docs
	@echo build/docs/index.html

clean:
	rm -rf runs datasets/shapes build *.egg-info .mypy_cache
