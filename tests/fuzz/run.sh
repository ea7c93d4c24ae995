#!/bin/bash
# Fuzzes every target for SECONDS, two at a time, and exits non-zero where one crashed.
#
#   tests/fuzz/run.sh SECONDS [TARGET…]
#
# Starts from `seeds/`, keeps what it finds in `corpus/` and crash inputs in `artifacts/`.
set -euo pipefail
cd "$(dirname "$0")"

SECONDS_EACH=${1:?usage: run.sh SECONDS [TARGET…]}
shift
TOOLS="${XDG_CACHE_HOME:-$HOME/.cache}/partitiond/tools"
VERSION=0.13.2
PROGRAMS=target/x86_64-unknown-linux-gnu/release

# Sanitizer and coverage flags are unstable; this lets the stable compiler take them.
export RUSTC_BOOTSTRAP=1
export CARGO_TARGET_DIR=$PWD/target

if ! "$TOOLS/bin/cargo-fuzz" --version 2>/dev/null | grep -qF "$VERSION"; then
    cargo install --quiet --locked --root "$TOOLS" --version "$VERSION" cargo-fuzz
fi
mkdir -p artifacts
echo "building the targets"
PATH="$TOOLS/bin:$PATH" cargo fuzz build --fuzz-dir . >artifacts/build.log 2>&1 || {
    cat artifacts/build.log >&2
    exit 1
}

# Fuzzes one target; its line says how it went.
fuzz() {
    local target=$1 log status=0 length
    mkdir -p "corpus/$target" "artifacts/$target"
    log=artifacts/$target.log
    case $target in
        oci | archive) length=16384 ;;
        rings | virtio) length=512 ;;
        # Each byte of these may be much work: a kilobyte of zstd can unpack to 30 MiB.
        bzimage | packages | cluster) length=4096 ;;
        units) length=64 ;;
        *) length=8192 ;;
    esac
    # Sanitizers keep freed memory for a while; only so much of it here.
    ASAN_OPTIONS=detect_odr_violation=0:quarantine_size_mb=32 nice "$PROGRAMS/$target" \
        "corpus/$target" "seeds/$target" -artifact_prefix="artifacts/$target/" \
        -max_total_time="$SECONDS_EACH" -max_len=$length -timeout=10 \
        -rss_limit_mb=1024 -malloc_limit_mb=512 -print_final_stats=1 >"$log" 2>&1 || status=$?
    local executions speed
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    speed=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
    if ((status == 0)); then
        printf '%-20s %12s executions %9s/s  ok\n' "$target" "$executions" "$speed"
    else
        printf '%-20s %12s executions %9s/s  FAILED\n' "$target" "${executions:-?}" "${speed:-?}"
        tail -n 40 "$log" >&2
        local input
        input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
        # The log above has the input in Base64 too, for when its file is gone.
        echo "reproduce: PATH=$TOOLS/bin:\$PATH RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz $target tests/fuzz/${input:-seeds/$target/*}" >&2
        echo "once it is mended, keep the input as tests/fuzz/seeds/$target/found-WHAT" >&2
        return 1
    fi
}
export -f fuzz
export SECONDS_EACH PROGRAMS TOOLS

if (($# == 0)); then
    set -- $(sed -n 's|^path = "targets/\(.*\)\.rs"|\1|p' Cargo.toml)
fi
results=$(mktemp)
trap 'rm -f "$results"' EXIT
printf '%s\n' "$@" | xargs -P "${JOBS:-2}" -I TARGET bash -c 'fuzz TARGET' | tee "$results" || true
passed=$(grep -c ' ok$' "$results" || true)
failed=$(($# - passed))
echo "$passed passed, $failed failed"
((failed == 0))
