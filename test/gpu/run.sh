#!/usr/bin/env bash
# run.sh [--emulated] [--build DIR] FOLDER: NCCL on one GPU through the plugin, beside NCCL's own sockets, and a relay's slots in the GPU's
# memory. Three ranks, each a node of a chain A - B - C of network namespaces; A and C share no link. A dated table goes to
# FOLDER/gpu-DATE.md, what the runs said to FOLDER/gpu-DATE.log/.
#
# Wants root, iproute2, python3 and an NVIDIA GPU. Uses what is there: the build in DIR (build/release), else it builds; NCCL of test/nccl/fetch.sh,
# of NCCL_HOME, of the system or of torch, in this order; torch, if python3 has it with CUDA.
#   --emulated   on the emulated GPU of test/nccl instead: whether all this works, not how fast
# Status 0: everything that was tried was right. 1: something was wrong. 2: it lacks something, which it names.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
root=$PWD build=build/release emulated='' folder=''
while [ $# -gt 0 ]; do
  case $1 in
    --emulated) emulated=yes ;;
    --build) build=$2 && shift ;;
    -*) folder='' && break ;;
    *) folder=$1 ;;
  esac
  shift
done
if [ -z "$folder" ]; then
  echo "usage: ${0##*/} [--emulated] [--build DIR] FOLDER" >&2
  exit 2
fi

lacks() {
  echo "${0##*/}: $*" >&2
  exit 2
}
[ "$(id -u)" = 0 ] || lacks "root is needed, for network namespaces"
for tool in ip tc python3; do command -v "$tool" >/dev/null || lacks "$tool is missing (Debian: iproute2, python3)"; done

# --- The plugin, the lab and the slots' program
mkdir -p "$folder" && folder=$(cd "$folder" && pwd) || exit 2
stamp=$(date -u +%Y-%m-%dT%H%MZ) day=$(date -u +%Y-%m-%d)
result=$folder/gpu-$stamp.md log=$folder/gpu-$stamp.log
mkdir -p "$log"
if [ ! -x "$build/nccl-relay" ] || [ ! -x "$build/test/gpu_slots" ]; then
  for tool in cmake ninja g++; do
    command -v "$tool" >/dev/null || lacks "no build in $build, and none can be made: $tool is missing (tools/deps.sh installs what it needs)"
  done
  echo "building in $build"
  { cmake --preset release -B "$build" && cmake --build "$build" --target nccl-relay nccl-net-relay gpu_slots; } >"$log/build.txt" 2>&1 ||
    lacks "the build fails: $log/build.txt"
fi
build=$(cd "$build" && pwd)

# --- NCCL, and the program that drives it and verifies every element
first() { # the first of these that is there
  for candidate in "$@"; do
    [ -e "$candidate" ] && echo "$candidate" && return
  done
  return 1
}
of_python() { # the folder of one of NVIDIA's packages beside torch
  python3 -c 'import importlib.util, sys; s = importlib.util.find_spec("nvidia"); print(list(s.submodule_search_locations)[0] + "/" + sys.argv[1] if s else "")' \
    "$1" 2>/dev/null
}
if [ -n "$emulated" ]; then
  perf=$build/test/nccl/rank.sh
  [ -x "$perf" ] || lacks "no emulated GPU in $build: run test/nccl/fetch.sh build/nccl before cmake"
  export LD_LIBRARY_PATH=$build/test/nccl:$root/build/nccl/nccl/lib FAKECUDA_DMABUF=1
  machine='emulated GPU (test/nccl)' sizes='-b 8 -e 1M -f 32 -n 2 -w 1'
else
  command -v nvidia-smi >/dev/null || lacks "no NVIDIA GPU: nvidia-smi is missing (--emulated runs without one)"
  machine=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | head -n 1) || lacks "nvidia-smi sees no GPU"
  nccl=$(first "$root/build/nccl/nccl/lib/libnccl.so.2" "${NCCL_HOME:-/none}/lib/libnccl.so.2" /usr/lib/*-linux-gnu/libnccl.so.2 \
    "$(of_python nccl)/lib/libnccl.so.2") || lacks "no libnccl.so.2: run test/nccl/fetch.sh build/nccl, or set NCCL_HOME"
  nccl_include=$(first "$(dirname "$nccl")/../include/nccl.h" /usr/include/nccl.h) || lacks "no nccl.h beside $nccl"
  cuda_include=$(first "$root/build/nccl/cuda/include/cuda_runtime_api.h" /usr/local/cuda/include/cuda_runtime_api.h \
    "$(of_python cu13)/include/cuda_runtime_api.h" "$(of_python cuda_runtime)/include/cuda_runtime_api.h") || lacks "no CUDA headers"
  cudart=$(first /usr/local/cuda/lib64/libcudart.so.1[23] "$(of_python cu13)"/lib/libcudart.so.13 "$(of_python cuda_runtime)"/lib/libcudart.so.12) ||
    lacks "no libcudart (the CUDA toolkit, or the package nvidia-cuda-runtime)"
  command -v g++ >/dev/null || lacks "g++ is missing, for the program that drives NCCL"
  perf=$log/nccl_perf
  g++ -std=c++20 -O2 -Itest/nccl -I"$(dirname "$cuda_include")" -I"$(dirname "$nccl_include")" test/nccl/perf/*.cc -o "$perf" \
    "$nccl" "$cudart" -pthread >"$log/nccl_perf.txt" 2>&1 || lacks "the program that drives NCCL does not build: $log/nccl_perf.txt"
  LD_LIBRARY_PATH=$(dirname "$nccl"):$(dirname "$cudart")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  export LD_LIBRARY_PATH
  sizes='-b 8 -e 64M -f 8 -n 10 -w 2'
fi

# --- Runs
failed=0
lab() { # NAME COMMAND...: on every node of the chain, bootstrap by IP along the cables
  local name=$1
  shift
  timeout 900 "$build/nccl-relay" lab run chain:3 --control routes --timeout 800 --log-dir "$log/$name.agents" --env NCCL_DEBUG=INFO \
    --env NCCL_DEBUG_FILE="$log/$name.%h.nccl" -- "$@" >"$log/$name.txt" 2>&1
}
transports() { # which of them NCCL says it used in this run
  cat "$log/$1".*.nccl 2>/dev/null | grep -o 'via NET/[A-Za-z]*' | sort | uniq -c | awk '{print $3 " " $1 "x"}' | paste -sd, -
}
rows=''
for collective in all_reduce all_gather reduce_scatter broadcast alltoall; do
  echo "$collective"
  # shellcheck disable=SC2086
  lab "relay-$collective" "$perf" "$collective" $sizes --json
  # shellcheck disable=SC2086
  NCCL_NET=Socket NCCL_NET_PLUGIN=none lab "socket-$collective" "$perf" "$collective" $sizes --json
  rows+=$(python3 test/gpu/table.py "$collective" "$log/relay-$collective.txt" "$log/socket-$collective.txt" 2>>"$log/table.txt") || failed=1
  rows+=$'\n'
  case "$(transports "relay-$collective")" in
    *NET/Relay*) ;;
    *) echo "$collective: NCCL did not go through the plugin, see $log/relay-$collective.*" | tee -a "$log/table.txt" >&2 && failed=1 ;;
  esac
done

echo "slots"
slots=$("$build/test/gpu_slots" 2>"$log/slots.txt") || { slots="wrong: $(tail -n 1 "$log/slots.txt")" && failed=1; }

torch='not tried: python3 has no torch with CUDA'
if [ -z "$emulated" ] && python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
  echo "torchrun"
  # shellcheck disable=SC2016
  if lab torch sh -c 'exec python3 -m torch.distributed.run --nnodes=$WORLD_SIZE --nproc-per-node=1 --node-rank=$RANK \
      --master-addr=$MASTER_ADDR --master-port=29600 "$0"' "$PWD/test/gpu/torch_all_reduce.py"; then
    torch=$(sed -n 's/^A| torch/torch/p' "$log/torch.txt")
  else
    torch="wrong, see $log/torch.txt" failed=1
  fi
fi

# --- The result
{
  echo "# NCCL on one GPU, three ranks on a chain, $day"
  echo
  echo "| | |"
  echo "|---|---|"
  echo "| GPU, driver, memory | $machine |"
  echo "| machine | $(uname -srm), $(nproc) cores |"
  echo "| NCCL | $(cat "$log"/relay-all_reduce.*.nccl 2>/dev/null | grep -om1 'NCCL version [^ ]*') |"
  echo "| plugin | nccl-relay $("$build/nccl-relay" --version 2>/dev/null | head -n 1), $(git -C "$PWD" rev-parse --short HEAD 2>/dev/null || echo 'no git') |"
  echo "| command | \`test/gpu/run.sh${emulated:+ --emulated} FOLDER\`, each run \`nccl-relay lab run chain:3 --control routes -- nccl_perf COLLECTIVE $sizes\` |"
  echo "| transports | plugin: $(transports relay-all_reduce); sockets: $(transports socket-all_reduce) |"
  echo "| slots on the GPU | \`$slots\` |"
  echo "| torchrun, all-reduce | $torch |"
  echo
  echo "Cables are veth pairs without a rate, so that speeds are those of this machine's kernel. Bandwidth is the bus bandwidth of nccl-tests in GB/s;"
  echo "every element of every row is verified. The sockets go by IP, which B's kernel forwards."
  [ -z "$emulated" ] || echo "The GPU is emulated by the CPU: what is right is shown, speeds mean nothing."
  echo
  echo "| collective | bytes | plugin, us | plugin, GB/s | sockets, us | sockets, GB/s | wrong elements |"
  echo "|---|---:|---:|---:|---:|---:|---:|"
  printf '%s' "$rows" | grep .
} >"$result"
echo "$result"
[ "$failed" = 0 ] || { cat "$log/table.txt" >&2 && echo "${0##*/}: something was wrong, see $result" >&2; }
exit "$failed"
