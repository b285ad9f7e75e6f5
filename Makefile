# `make audit` and `make test` work in a fresh clone with Python 3.11 or newer, git and make. `make help` lists the rest.
PYTHON ?= python3
VENV ?= .venv
READY := $(VENV)/.ready
RUN := . $(VENV)/bin/activate &&
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

# Starting Python is half of a short run: let it keep what it compiles, whatever the shell says.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: repository unshallow help audit test test-long test-all faults fault-results grid experiments cluster share servers share-check share-results check deps \
  format verify bench speed results readme requirements clean publish reducing browser pages screenshots compare docs

help: ## list these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-13s %s\n", $$1, $$2}'

$(READY): requirements.txt pyproject.toml | repository
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --requirement requirements.txt
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --no-deps --editable .
	@touch $@

# DVC needs git, and says so only after everything is installed. git's own reason may be another: an owner it distrusts.
repository:
	@why=$$(git rev-parse --git-dir 2>&1 > /dev/null) || { echo "error: DVC needs a git repository here ($$why): clone" \
	  "this project with git, or in a downloaded copy run \`git init && git add --all && git commit --message start\`" >&2; exit 1; }

audit: $(READY) ## set up, run what changed of the audit, print the table and the verdict
	$(RUN) dvc repro && mia show

REV ?= HEAD
publish: $(READY) ## the report with the commit and date of its audit, reports/audit-COMMIT.html (make publish REV=name)
	$(RUN) mia publish $(REV)

PYTEST := pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
TIERS := tests/unit tests/pipeline tests/borders
test: $(READY) ## set up, pass the tests that one runs before a commit: units, and one tiny experiment
	$(RUN) $(PYTEST) -m 'not long and not statistics' $(TIERS)

test-long: $(READY) ## pass the tests that run the real `dvc`, train, or simulate hundreds of worlds
	$(RUN) $(PYTEST) -m 'long or statistics' $(TIERS)

test-all: test test-long ## both

faults: $(READY) ## test interruptions, full disks, damage and lost servers; all of them after `make cluster servers`
	$(RUN) pytest -n $(JOBS) --dist loadfile tests/faults

pages: $(READY) ## look at the report in a real browser; needs `make browser`
	$(RUN) pytest -n $(JOBS) --dist load tests/pages

fault-results: $(READY) ## try every fault and count, for docs/reliability.md
	mkdir -p docs/results/faults
	$(RUN) MIA_TESTS_MUST_NOT_SKIP=1 pytest -n $(JOBS) --dist loadfile -m fault --faults-out docs/results/faults/faults.md
	$(RUN) GOMP_SPINCOUNT=2000 python benchmarks/snapshots.py --out docs/results/faults/snapshots.json \
	  > docs/results/faults/snapshots.md
	$(RUN) python docs/readme.py

GRID ?= -S attacker.knowledge=generated,disjoint,population -S audits/digits/params.yaml:target.epochs=10,40
WORKERS ?= 1
# Workers that each take all cores are slower than one.
SHARE = MIA_PROCESSES=$${MIA_PROCESSES:-$$((($(JOBS) + $(WORKERS) - 1) / $(WORKERS)))}
unshallow: repository
	@test "$$(git rev-parse --is-shallow-repository)" != true || { echo "error: this clone is shallow, and DVC loses the" \
	  "experiments that it queues in one: \`git fetch --unshallow\`, then again" >&2; exit 1; }

grid: unshallow $(READY) ## run a grid of experiments, WORKERS at once, as a table and a figure (make grid GRID="-S seed=1,2,3")
	$(RUN) dvc exp run --queue $(GRID) && { mia forecast || true; } && $(if $(filter-out 1,$(WORKERS)),$(SHARE)) dvc exp run --run-all --jobs $(WORKERS) && mia grid

# The table of `dvc exp show` has a column for every dependency, metric and parameter, 360 of them: kept are two numbers of
# ATTACK and the parameters, and of these what differs.
ATTACK ?= stacked
PARAMS := seed|audit|(audits/[^:]*:)?(data|attacker|model|target|shadow|query|features|attacks|select|estimators|evaluate|report)\..*
experiments: $(READY) ## the table of experiments, by two numbers of ATTACK (make experiments ATTACK='(stacked|loss)')
	$(RUN) dvc exp show --only-changed --drop '^(?!(Experiment|$(ATTACK)\.(auc|tpr_at_fpr_0_01)|$(PARAMS))$$)' --md

REVS ?= HEAD workspace
compare: $(READY) ## two audits or more as one page (make compare REVS="HEAD NAME"); else the last commit and the workspace
	$(RUN) mia compare $(REVS)

cluster: $(READY) ## install Ray too, to train shadows on a cluster
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --requirement requirements-cluster.txt

browser: $(READY) ## install what drives Chromium, which must be installed: for `make pages screenshots`
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --requirement requirements-browser.txt

share: $(READY) ## install what DVC needs for remotes over SSH and S3
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --requirement requirements-share.txt

servers: $(READY) ## install the same and an S3 server, which the tests start
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --requirement requirements-servers.txt

share-check: $(READY) ## show that a colleague who clones and pulls trains nothing (REMOTE=name tries a remote of yours)
	$(RUN) python benchmarks/share.py $(if $(REMOTE),--remote '$(REMOTE)') $(foreach one,$(OPTIONS),--set '$(one)')

share-results: $(READY) ## the same over a folder, SSH and S3, on servers that it starts, into docs/results/share
	$(RUN) PYTHONPATH=tests/helpers python benchmarks/remotes.py
	$(RUN) python docs/readme.py

deps: $(READY) ## write the code of each stage into dvc.yaml, and the attacks into the template of overlaid curves
	$(RUN) python tests/helpers/pipeline.py

check: $(READY) ## lint, types, and that the documents agree with the files
	$(RUN) ruff check . && ruff format --check . && mypy && python docs/readme.py --check

format: $(READY) ## let ruff mend what it can
	$(RUN) ruff check --fix . && ruff format .

verify: $(READY) ## check every object in DVC's cache, remove what is damaged
	$(RUN) mia verify

bench: $(READY) ## time the parts of the audit on this machine
	$(RUN) python benchmarks/stages.py

SPEED := docs/results/speed
speed: $(READY) ## measure what docs/scale.md shows, on an idle machine, in about an hour
	mkdir -p $(SPEED)
	for name in training peers scale memory large blocks gpu; do $(RUN) python benchmarks/$$name.py \
	  --out $(SPEED)/$$name.json > $(SPEED)/$$name.md || exit 1; done
	$(RUN) python docs/readme.py

reducing: $(READY) ## train a target in several ways and measure leakage against accuracy (ARGS="-- -S ...")
	$(RUN) python benchmarks/reducing.py $(ARGS)
	$(RUN) python docs/readme.py

NAME ?= digits
results: $(READY) ## copy metrics and figures of the workspace to docs/results/NAME (make results NAME=cifake)
	mkdir -p docs/results/$(NAME)
	cp metrics/*.json plots/*.png plots/comparisons.csv plots/classes.csv plots/roc.csv docs/results/$(NAME)/
	$(RUN) python docs/readme.py

screenshots: $(READY) ## pictures of REPORT (reports/audit.html) into docs/results/NAME; BLUR=1 blurs its images
	$(RUN) PYTHONPATH=tests/helpers python docs/screenshots.py $(or $(REPORT),reports/audit.html) docs/results/$(NAME) $(if $(BLUR),--blur)
	$(if $(BLUR),$(RUN) python docs/blurred.py $(or $(REPORT),reports/audit.html) docs/results/$(NAME)/report.html)

docs: $(READY) ## build the documents and the workspace's report as a site, site/index.html, to be read without a network
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --requirement requirements-docs.txt
	$(RUN) dvc repro --quiet && python docs/site/build.py

readme: $(READY) ## write the tables and the threat models' figure from the metrics files they name
	$(RUN) python docs/readme.py && python docs/threat_models.py

COMPILE = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url \
  --custom-compile-command "make requirements"
requirements: $(READY) ## compile requirements*.txt from the ranges in pyproject.toml
	$(COMPILE) --extra dev --extra train --extra tables --upgrade --output-file requirements.txt pyproject.toml
	$(COMPILE) --extra dev --extra train --extra tables --extra cluster --upgrade --constraint requirements.txt \
	  --output-file requirements-cluster.txt pyproject.toml
	$(COMPILE) --extra dev --extra train --extra tables --extra browser --upgrade --constraint requirements.txt \
	  --output-file requirements-browser.txt pyproject.toml
	$(COMPILE) --extra dev --extra train --extra tables --extra docs --upgrade --constraint requirements.txt \
	  --output-file requirements-docs.txt pyproject.toml
	$(COMPILE) --extra dev --extra train --extra tables --extra ssh --extra s3 --upgrade --constraint requirements.txt \
	  --output-file requirements-share.txt pyproject.toml
	$(COMPILE) --extra dev --extra train --extra tables --extra ssh --extra s3 --extra servers --upgrade --constraint requirements-share.txt \
	  --output-file requirements-servers.txt pyproject.toml

clean: ## remove the virtual environment; data, models and cache stay
	rm -rf $(VENV)
