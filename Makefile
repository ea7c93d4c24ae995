# Everything that has to be set up or run. `make demo` shows the main job; `make test` is what CI
# runs; `make soak` is what takes too long for CI; `make bench` measures.

TARGET := x86_64-unknown-linux-gnu
BUILT := target/$(TARGET)
PARTITIOND := $(BUILT)/release/partitiond
# Static with glibc: the programs run in initramfs archives and on hosts of any age.
STATIC := RUSTFLAGS="-C target-feature=+crt-static"
# Scenarios boot QEMU machines of four CPUs: one at a time.
SERIAL := -- --test-threads=1
# Scenarios that take too long for every change. All are run, whichever fails.
SOAKS := --no-fail-fast --test soak_pairs --test soak_kills --test host_kernel_starts_cpus --test kernels \
	--test network --test profiles
# Seconds that each fuzz target runs.
FUZZ ?= 60
# How often `make bench` takes each time.
ROUNDS ?= 7

.PHONY: help
help:
	@echo "make demo       divide a virtual server, and leave it to be tried"
	@echo "make test       everything that CI runs"
	@echo "make soak       every kernel beside every other, kill -9 at random moments, and the fuzz"
	@echo "                targets for five minutes each"
	@echo "make bench      measure, and write docs/benchmarks.md (BENCH=start: one part, only printed)"
	@echo "make bench-profiles"
	@echo "                default against profile, a dozen loads, and write docs/profiles-measured.md"
	@echo "                (EXPERIMENT=fast-open: one, only printed)"
	@echo "make kernels    boot every kernel of the matrix and write what settings it has to"
	@echo "                profiles/kernels (KERNELS=\"6.12-rt 7.2-cloud\": those)"
	@echo "make programs   the programs, in $(BUILT)"
	@echo "make clean      remove what was built"

# What a fresh Debian lacks to build: a linker, a C library, and a C++ compiler for the fuzzer.
.PHONY: setup
setup:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust first (rustup.rs)"; exit 1; }
	@command -v g++ >/dev/null || { echo "installing g++"; apt-get update -q && apt-get install -qy --no-install-recommends g++; }

.PHONY: programs
programs: setup
	$(STATIC) cargo build --quiet --release --target $(TARGET) -p partitiond
	$(STATIC) cargo build --quiet --profile guest --target $(TARGET) -p guest-init -p rig -p attacker --bins

.PHONY: demo
demo: programs
	@$(PARTITIOND) --rig=demo up --cpus 4 --memory 4GiB docs/examples/quickstart/cluster.ron
	@echo
	@echo "The server stays up. Try:"
	@echo "  $(PARTITIOND) --rig=demo ps"
	@echo "  $(PARTITIOND) --rig=demo exec db -- uname -a"
	@echo "  $(PARTITIOND) --rig=demo logs trading"
	@echo "  $(PARTITIOND) --rig=demo console db          (Ctrl-] leaves)"
	@echo "  $(PARTITIOND) --rig=demo exec db -- sh -c 'echo c > /proc/sysrq-trigger'"
	@echo "  $(PARTITIOND) --rig=demo events"
	@echo "  $(PARTITIOND) rig down demo"

# The fuzzers, which need no QEMU, take what the scenarios leave of the machine.
.PHONY: test
test: lint unit
	@mkdir -p target
	@nice -n 19 $(MAKE) --no-print-directory fuzz >target/fuzz.log 2>&1 & fuzz=$$!; \
		$(MAKE) --no-print-directory scenarios; status=$$?; \
		wait $$fuzz || status=1; cat target/fuzz.log; exit $$status

.PHONY: lint
lint: setup
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings

.PHONY: unit
unit: setup
	cargo test --quiet --workspace --exclude scenarios
	cargo test --quiet -p images --test real_packages -- --ignored
	cargo test --quiet -p profiles --test tuned_package -- --ignored

.PHONY: scenarios
scenarios: programs
	cargo test --quiet -p scenarios $(SERIAL)

.PHONY: fuzz
fuzz: setup
	tests/fuzz/run.sh $(FUZZ)

.PHONY: soak
soak: programs
	cargo test --quiet -p scenarios $(SOAKS) $(SERIAL) --ignored --nocapture; \
		scenarios=$$?; tests/fuzz/run.sh 300 && exit $$scenarios

.PHONY: bench
bench: programs
	BENCH_ROUNDS=$(ROUNDS) cargo bench --quiet --profile dev -p scenarios --bench figures -- $(BENCH)

# What profiles gain and cost, in a rig: about half an hour.
.PHONY: bench-profiles
bench-profiles: programs
	$(STATIC) cargo build --quiet --profile guest --target $(TARGET) -p load
	cargo bench --quiet --profile dev -p scenarios --bench experiments -- $(EXPERIMENT)

# Boots kernels, writes their dumps, and fails where the catalogue says otherwise.
.PHONY: kernels
kernels: programs
	cargo run --quiet -p scenarios --bin matrix -- $(KERNELS)

.PHONY: man
man: programs
	mkdir -p docs/man
	$(PARTITIOND) man docs/man

.PHONY: clean
clean:
	cargo clean
