#!/usr/bin/env bash
# NCCL's collectives over a chain A-B-C in which A and C share no cable, then what NCCL does there alone. Begins with
# nothing: installs, fetches and builds what it shows, says so while it works, and prints one screen in the end.
# usage: demo.sh [PRESET [JOBS]]     what each step said stays in build/demo
set -euo pipefail
cd "$(dirname "$0")/../.."
preset=${1:-release} jobs=${2:-$(nproc)}
build=build/$preset logs=build/demo
relay=$build/nccl-relay rank=$build/test/nccl/rank.sh
collectives=(all_reduce all_gather reduce_scatter broadcast alltoall)

phase() { # what it is, name of its log, command...
  local log=$logs/$2.log
  printf '[%4d s] %s\n' "$SECONDS" "$1"
  "${@:3}" >"$log" 2>&1 </dev/null && return
  printf '[%4d s] that failed; %s ends with:\n' "$SECONDS" "$log" >&2
  tail -n 20 "$log" >&2
  exit 1
}
built() { # the shipped files, and a program that calls NCCL as nccl-tests' do
  cmake --preset "$preset" --log-level=WARNING &&
    cmake --build "$build" -j "$jobs" --target nccl-net-relay nccl-relay nccl_perf &&
    make --no-print-directory PRESET="$preset" JOBS="$jobs" all
}
through_the_plugin() { # COLLECTIVE: what a lab's agents and NCCL say goes into a folder of its own
  "$relay" lab run chain:3 --timeout 120 --log-dir "$logs/$1" --counters-json "$logs/$1/counters.json" \
    --env NCCL_DEBUG=INFO --env NCCL_DEBUG_FILE="$PWD/$logs/$1/nccl-%h.log" -- "$rank" "$1" -b 8 -e 32M -f 8 -n 5
}
alone() { # fails, as it must: the screen is made of how
  "$relay" lab run chain:3 --timeout 10 --grace 10 --env NCCL_NET=Socket --env NCCL_NET_PLUGIN=none \
    --env NCCL_SOCKET_IFNAME=^ctl,lo --env NCCL_DEBUG=WARN -- "$rank" all_reduce -b 8 -e 8 || echo "status $?"
}

rm -rf "$logs"
mkdir -p "$logs"
phase "installing what is missing of a compiler, libraries and tools" install tools/deps.sh demo
phase "fetching NVIDIA's own NCCL (210 MB)" fetch test/nccl/fetch.sh build/nccl 2.28.9
phase "building the plugin, nccl-relay, and a GPU that is emulated on the CPU (2 minutes on two cores)" build built
for collective in "${collectives[@]}"; do
  phase "$collective over A-B-C, with the plugin" "$collective" through_the_plugin "$collective"
done
phase "all_reduce over A-B-C, without it: NCCL's own sockets, which get 10 seconds" alone alone
printf '[%4d s] that is all\n\n' "$SECONDS"
python3 test/e2e/demo_screen.py "$logs" "${collectives[@]}"
