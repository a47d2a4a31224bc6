# Two commands for everybody: `make demo` and `make test`. Both create .venv on first use; later runs install nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help demo test clean
help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/'

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

demo: $(INSTALLED) ## despeckle a real ultrasound clip and a simulated carotid into demo-output/
	$(BIN)/speckle2self demo demo-output

test: $(INSTALLED) ## ruff, mypy on the core, pytest
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	# Training in a process of its own: in one that has run everything else before, PyTorch ends with a segmentation fault.
	$(BIN)/python -m pytest --ignore=Testing/training
	$(BIN)/python -m pytest Testing/training

clean: ## remove what the two commands made
	rm -rf $(VENV) demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
