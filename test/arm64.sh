#!/usr/bin/env bash
# The arm64 build on a machine of another architecture: the shipped file by inspection, unit and conformance tests and
# the benchmark under user-mode emulation, between network namespaces that the machine's own build makes.
# Emulation keeps the order of memory accesses of the machine below it: it proves the code, not its memory order.
# usage: arm64.sh build/arm64 build/release
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=$(realpath "$1") host=$(realpath "$2") bad=0
emulator=(qemu-aarch64 -L /usr/aarch64-linux-gnu)

step() { # name, command...
  local name=$1 start=$SECONDS
  shift
  if "$@"; then
    echo "arm64: $name: passed, $((SECONDS - start)) s"
  else
    bad=1
    echo "arm64: $name: FAILED, $((SECONDS - start)) s" >&2
  fi
}

# Tests that emulation cannot run, each with its reason.
not_emulated=(
  Tcp.BothEndsAreBoundToTheirInterfaceAndNotInherited # asks for SO_BINDTODEVICE, which is set but not read back
  Verbs.TheLoadedTableIsWhole                         # there is no libibverbs for arm64 here
  # the speed of an interface (ethtool), and groups joined by interface, are not passed on to the kernel
  DiscoveryNetwork.TwoNodesOnOneCableFindEachOther DiscoveryNetwork.Ipv4AloneWillDoAlsoForTwinsInOneSubnet
  # of TCP_INFO the first four bytes are handed on: what a host has not acknowledged is not among them
  RecoveryNetwork.AHostThatFallsSilentIsMissedInTimeAndItsCircuitsEnd
)
units() {
  local IFS=:
  # "lab": the kernel cannot execute the arm64 binary; its namespaces are those of the machine's own build below.
  GTEST_FILTER="-${not_emulated[*]}" ctest --test-dir "$build" --output-on-failure -j "$(nproc)" -E '^lab$' | tail -n 12
}

# What starts an agent executes a program beside the library, and the kernel knows no arm64 program: a script runs it.
emulated=$build/emulated
mkdir -p "$emulated"
cp "$build/libnccl-net-relay.so" "$emulated/"
printf '#!/bin/sh\nexec %s %s/nccl-relay "$@"\n' "${emulator[*]}" "$build" >"$emulated/nccl-relay"
chmod +x "$emulated/nccl-relay"

perf() { # topology and options of the lab, "--", arguments of perf
  local lab=()
  while [ "$1" != -- ]; do lab+=("$1") && shift; done
  shift
  "$host/nccl-relay" lab run "${lab[@]}" --timeout 300 --env NCCL_NET_PLUGIN="$emulated/libnccl-net-relay.so" -- \
    "$emulated/nccl-relay" perf "$@"
}
every_version() {
  local version
  for version in 6 7 8 9 10 11 12; do
    perf chain:2 --ranks A --ranks-per-node 2 -- sendrecv -b 4K -e 4K -n 1 --abi "v$version" >"$emulated/log" 2>&1 || {
      cat "$emulated/log"
      return 1
    }
  done
}
alone() { # one mounted file is enough: the loader runs the library as the agent
  "${emulator[@]}" /usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1 "$build/libnccl-net-relay.so" agent --help >/dev/null
}
sizes=(-b 8 -e 2M -f 64 -n 2)

step "a good guest" test/lint/check_so.sh "$build/libnccl-net-relay.so" 2.35 aarch64-linux-gnu-
step "the library alone is an agent" alone
step "unit and conformance tests" units
step "ranks of one node" perf chain:2 --ranks A --ranks-per-node 2 -- all_reduce "${sizes[@]}"
step "every version of the interface" every_version
step "neighbours" perf chain:2 -- all_gather "${sizes[@]}"
step "through a relay of the machine's own architecture" perf chain:3 --ranks A,C -- alltoall "${sizes[@]}"
step "a ring over a chain, every relay emulated" perf chain:3 --agents none -- all_reduce "${sizes[@]}"
exit "$bad"
