#!/usr/bin/env bash
# What `make check` runs: lint, unit and conformance tests, the real NCCL over lab fabrics, gates, sanitizers, fuzzers.
# usage: check.sh build/release [all]
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=$1 whole=${2:-} bad=() passed=0
jobs=$(nproc)

step() { # name, command...
  local name=$1 start=$SECONDS
  shift
  echo "== $name"
  if "$@"; then
    passed=$((passed + 1))
    echo "== $name: passed, $((SECONDS - start)) s"
  else
    bad+=("$name")
    echo "== $name: FAILED, $((SECONDS - start)) s"
  fi
}
sanitized() { # preset, targets...: a build with a sanitizer, its unit tests, and the real NCCL through it on a chain
  local preset=$1
  shift
  cmake --preset "$preset" --log-level=WARNING && cmake --build "build/$preset" -j "$jobs" --target "$@" &&
    ctest --test-dir "build/$preset" -j "$jobs" --output-on-failure -E '^(lab|nccl\.|.*_NOT_BUILT)' | tail -n 5 &&
    /usr/bin/python3 -m pytest test/e2e/test_sanitized.py -q "--build=build/$preset"
}
# What has threads. The rest of the tree is pure, or runs on one.
threaded=(nccl-net-relay nccl-relay nccl_perf unit_base unit_transport unit_circuit unit_control unit_stream unit_comm
  unit_agent unit_perf conformance)
pytest_args=(test/e2e -q "--build=$build" --ignore=test/e2e/test_sanitized.py --durations=15)
verbs_args=(test/rdma -q -rs "--build=$build" --durations=5)
seconds=5 gates=--gates
if [ "$whole" = all ]; then
  pytest_args+=(--whole)
  seconds=60 gates=
else
  verbs_args+=(--short)
fi

step lint test/lint/run.sh "$build"
step "unit and conformance" ctest --test-dir "$build" -j "$jobs" --output-on-failure
step "lab and real NCCL" /usr/bin/python3 -m pytest "${pytest_args[@]}"
step "real verbs" /usr/bin/python3 -m pytest "${verbs_args[@]}"
step gates /usr/bin/python3 test/bench/run.py --build "$build" $gates
step "address and undefined behaviour sanitizers" sanitized asan all
step "thread sanitizer" sanitized tsan "${threaded[@]}"
step fuzzers test/fuzz/run.sh "$seconds"
if [ "$whole" = all ]; then
  step arm64 make --no-print-directory check-arm64
  step coverage make --no-print-directory coverage
  step images make --no-print-directory images
fi

echo "${#bad[@]} failed, $passed passed in $SECONDS s"
for name in ${bad[@]+"${bad[@]}"}; do echo "FAILED: $name"; done
echo "$passed passed, ${#bad[@]} failed"
[ ${#bad[@]} = 0 ]
