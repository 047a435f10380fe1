#!/usr/bin/env bash
# What `make check` runs: builds, lint, the real NCCL over lab fabrics, real verbs, gates, sanitizers, fuzzers' seeds.
# Prints a table of its steps. CONTRIBUTING.md says which claim is proven where.
# usage: check.sh build/release [all]
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=$1 whole=${2:-} bad=() table=()
jobs=$(nproc)
python=/usr/bin/python3
RELAY_TEST_SEED=$(PYTHONPATH=test/e2e $python -c 'import pairwise; print(pairwise.seed())') || exit 1
export RELAY_TEST_SEED

step() { # name, command...
  local name=$1 start=$SECONDS verdict=passed
  shift
  echo "== $name"
  "$@" || { verdict=FAILED && bad+=("$name"); }
  table+=("$(printf '%-9s %5d s   %s' "$verdict" $((SECONDS - start)) "$name")")
  echo "== $name: $verdict, $((SECONDS - start)) s"
}
compiled() { # preset, targets...
  local preset=$1
  shift
  cmake --preset "$preset" --log-level=WARNING && cmake --build "build/$preset" -j "$jobs" --target "$@"
}
# Most unit tests wait, for clocks and sockets: more run beside each other than there are processors.
units() { # build folder, arguments of ctest...
  ctest --test-dir "$1" -j $((3 * jobs)) --no-tests=error --output-on-failure "${@:2}"
}
# Ranks poll without ever sleeping: the kernel's own threads, for which interfaces that come and go wait, go before them.
labs() { # arguments of pytest...
  nice -n 10 $python -m pytest -q "$@"
}
# Labs do not see each other, and wait for much of their time. What judges the machine's own load runs alone, afterwards.
lab_tests() {
  local ignored=(--ignore=test/e2e/test_sanitized.py) good=0
  labs test/e2e "${ignored[@]}" "--build=$build" -n $((2 * jobs)) -m "not alone" --durations=15 $whole_option || good=1
  labs test/e2e "${ignored[@]}" "--build=$build" -m alone $whole_option || good=1
  return $good
}
sanitized_labs() { # preset
  labs test/e2e/test_sanitized.py "--build=build/$1" -n $((2 * jobs)) --durations=3
}
# What has threads, or is the product. The rest of the tree is pure, or runs on one thread.
threaded=(nccl-net-relay nccl-relay nccl_perf unit_base unit_stream unit_comm unit_perf)
verbs=(test/rdma -rs "--build=$build" --durations=5)
gates=--gates whole_option='' conformance=''
# Models enumerate on one thread.
unthreaded='-*Model.*:Closing.*'
if [ "$whole" = all ]; then
  threaded+=(unit_fabric unit_transport unit_circuit unit_control unit_agent unit_nccl unit_tools conformance)
  whole_option=--whole gates='' conformance=conformance unthreaded='*'
else
  verbs+=(--short)
fi
threads_only() { # the tests of the programs that were built
  local IFS='|' programs=("${threaded[@]}")
  GTEST_FILTER=$unthreaded units build/tsan -R "^(${programs[*]})\\."
}

step "build: plugin, tools, lab programs" compiled release lab_programs $conformance
step lint test/lint/run.sh "$build"
step "lab and real NCCL" lab_tests
step "real verbs" labs "${verbs[@]}"
step gates $python test/bench/run.py --build "$build" $gates
step "build: address and undefined behaviour sanitizers" compiled asan unit_tests nccl-net-relay nccl-relay nccl_perf fuzz_seed_checks
step "unit and conformance, sanitized" units build/asan -E '^nccl\.'
step "lab and real NCCL, sanitized" sanitized_labs asan
step "build: thread sanitizer" compiled tsan "${threaded[@]}"
step "unit, threads sanitized" threads_only
step "lab and real NCCL, threads sanitized" sanitized_labs tsan
if [ "$whole" = all ]; then
  step "the emulated NCCL's own tests" units "$build" -R '^nccl\.'
  step fuzzers test/fuzz/run.sh 60
  step arm64 make --no-print-directory check-arm64
  step coverage make --no-print-directory coverage
  step images make --no-print-directory images
fi

printf '%s\n' "" "${table[@]}" "in all       $SECONDS s; pairwise choices: RELAY_TEST_SEED=$RELAY_TEST_SEED" ""
for name in ${bad[@]+"${bad[@]}"}; do echo "FAILED: $name"; done
echo "$((${#table[@]} - ${#bad[@]})) passed, ${#bad[@]} failed"
[ ${#bad[@]} = 0 ]
