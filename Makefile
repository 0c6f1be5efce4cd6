# Targets for building and testing httpd-semguard. `make help` lists them.

CARGO ?= cargo
# If set to 1, a test that cannot run because something is missing fails.
REQUIRE_ALL ?=
export REQUIRE_ALL

target = $(or $(CARGO_TARGET_DIR),target)

.PHONY: build demo check quick torture completions install uninstall deb rpm vendor clean help

build: ## build the program (target/release/httpd-semguard)
	$(CARGO) build --release --locked

demo: ## replay an outage and its end, in namespaces of its own; needs no privileges
	@tests/demo.sh

check: ## run all tests; as root, install the Debian packages that they need
	@tests/setup.sh || [ "$$REQUIRE_ALL" != 1 ]
	$(CARGO) test --locked --no-fail-fast

# The files of tests that need neither root nor a package; all other files are left out.
quick = docs environment formats fuzz house recorded supply
of_packages = mandoc groff
others = $(filter-out $(quick),$(patsubst %/main,%,$(patsubst tests/%.rs,%,\
    $(wildcard tests/*.rs tests/*/main.rs))))
quick: ## run the tests that need neither root nor a package; takes less than a minute once built
	$(CARGO) test --quiet --locked --no-fail-fast --lib $(quick:%=--test %) -- $(of_packages:%=--skip %) --skip real::
	@echo "make quick skipped, of docs and formats: $(of_packages) real"
	@echo "and all of:" $(sort $(others)) | fmt -w 100
	@echo "make check runs them."

.PHONY: agreement
agreement: ## compare the forecast with N=300 real starts (SEED= for others); root
	AGREEMENT_N=$(N) AGREEMENT_SEED=$(SEED) REQUIRE_ALL=1 $(CARGO) test --locked --test agreement

RUNS ?= 20000
SEED ?=
torture: ## run random worlds with RUNS=20000 guard runs (SEED= repeats one); root
	MODEL_RUNS=$(RUNS) MODEL_SEED=$(SEED) REQUIRE_ALL=1 $(CARGO) test --locked --test model no_history

.PHONY: fuzz
# New interesting inputs go below target; tests/corpus keeps a selection.
fuzz: ## fuzz each target in fuzz/ for FUZZ_SECONDS=60, from tests/corpus; nightly Rust
	@CARGO=$(CARGO) fuzz/run.sh $(abspath $(target))/fuzz

.PHONY: deny
# An installed cargo-deny is used; otherwise, this version is installed below target. The advisory
# database is on another host than the crates.
CARGO_DENY = cargo-deny@0.20.2
deny: export PATH := $(PATH):$(abspath $(target))/tools/bin
deny: ## check licences, sources, versions and advisories of all crates (deny.toml, cargo-deny)
	@command -v cargo-deny >/dev/null || \
	    $(CARGO) install --locked --root $(abspath $(target))/tools $(CARGO_DENY) || \
	    { echo "make deny: $(CARGO_DENY) is missing and could not be installed" >&2; exit 1; }
	$(CARGO) deny --locked check licenses sources bans
	@if $(CARGO) deny --locked fetch db; then \
	    $(CARGO) deny --locked check advisories; \
	else \
	    echo "SKIPPED: make deny: ADVISORIES NOT CHECKED, their database could not be fetched" >&2; \
	    [ "$$REQUIRE_ALL" != 1 ]; \
	fi

.PHONY: hard
hard: ## try the hard cases and print what each lost and kept; root
	@tests/setup.sh
	REQUIRE_ALL=1 $(CARGO) test --quiet --locked --test hard -- --test-threads=6

.PHONY: kill-loop
kill-loop: ## kill an instance N=200 times next to a running one, a third for each MPM; root
	@tests/setup.sh
	KILLS=$(or $(N),200) REQUIRE_ALL=1 $(CARGO) test --quiet --locked --test siblings -- --nocapture

.PHONY: outage
outage: ## regenerate docs/outage.md and its pictures from real runs; root
	@tests/setup.sh
	$(CARGO) build --quiet --locked --bin httpd-semguard --example picture
	SEMGUARD=$(target)/debug/httpd-semguard docs/outage.sh docs
	$(target)/debug/examples/picture docs/outage/*.ansi

.PHONY: mutexes
mutexes: ## regenerate docs/mutexes.md from the table in the code
	WRITE_PAGES=1 $(CARGO) test --quiet --locked --test mutexes

.PHONY: bench
bench: ## measure what a run costs (target/bench/report.md), BENCH_RUNS=20 times each; root
	@for tool in gcc gnuplot unshare ipcs; do command -v $$tool >/dev/null || \
	    { echo "make bench: $$tool is missing (Debian: gcc libc6-dev gnuplot-nox util-linux)" >&2; exit 1; }; done
	@mkdir -p $(target)/bench
	gcc -std=gnu11 -O2 -Wall -o $(target)/bench/floor bench/floor.c
	$(CARGO) bench --locked --bench cost -- $(target)/bench

completions: ## generate the completions for bash, zsh and fish (target/completions)
	$(CARGO) run --quiet --locked --example completions -- $(target)/completions

# Builds nothing, so that "make build && sudo make install" works if root has no Rust.
put = PROGRAM=$(target)/release/httpd-semguard COMPLETIONS=$(target)/completions packaging/install.sh

install: ## install everything (PREFIX=/usr/local, DESTDIR=, …: see packaging/install.sh); build first
	@$(put)

uninstall: ## remove what "make install" installed; same variables; settings are kept
	@$(put) uninstall

deb: build completions ## make the Debian package (target/deb)
	packaging/deb/build.sh $(target)

# Builds from the vendored crates, in a directory tree of its own.
rpm: ## make the RPM package and its source package (target/rpm)
	@mkdir -p $(target)
	packaging/rpm/build.sh $(target)

.PHONY: sbom dist tagged
tagged: version = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
tagged: ## check TAG=vVERSION against the version in the sources and the changelog
	@[ "$(TAG)" = "v$(version)" ] || { echo "make tagged: $(TAG) is not v$(version)" >&2; exit 1; }
	@grep -q '^## \[$(version)\]' CHANGELOG.md || \
	    { echo "make tagged: CHANGELOG.md has no section for $(version)" >&2; exit 1; }

sbom: ## list the crates that the program is built from, as CycloneDX (target/httpd-semguard.cdx.json)
	@mkdir -p $(target)
	packaging/sbom.sh $(target)

dist: portable completions sbom ## make all files of a release (target/dist); root
	packaging/dist.sh $(target)

vendor: ## make the archive with all crates, for builds without a registry (target/rpm/SOURCES)
	@mkdir -p $(target)
	packaging/rpm/build.sh $(target) vendor

.PHONY: msrv static
msrv: ## build with the compiler of Debian 13, in a root file system of its own; root
	tests/msrv.sh

# Statically linked with glibc. Not with musl: its target is not available everywhere, and it does not
# read nsswitch.conf.
static: host = $(shell rustc -vV | sed -n 's/^host: //p')
static: ## build a static program (target/static/httpd-semguard)
	RUSTFLAGS="$$RUSTFLAGS -C target-feature=+crt-static" \
	    $(CARGO) build --release --locked --target $(host) --target-dir $(target)/static
	cp $(target)/static/$(host)/release/httpd-semguard $(target)/static/httpd-semguard
	@! readelf --program-headers $(target)/static/httpd-semguard | grep INTERP
	$(target)/static/httpd-semguard --version

.PHONY: portable
portable: ## build for old systems: x86-64 and aarch64, glibc 2.17 (target/portable); root
	packaging/portable.sh $(target)

clean: ## remove the build output
	$(CARGO) clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { name[++n] = $$1; says[n] = $$2; if (length($$1) > w) w = length($$1) } \
	    END { for (i = 1; i <= n; i++) printf "  make %-" w "s  %s\n", name[i], says[i] }' $(MAKEFILE_LIST)
