#!/usr/bin/env bash
# run.sh RANKS COLLECTIVE [options]: that many ranks of nccl_perf on this machine, over NCCL's own sockets on loopback unless NCCL_NET says
# otherwise. BUILD_DIR names the folder with rank.sh, GPUS the ranks per simulated node (1). Status 0 only if every rank's is.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD_DIR:-$here/../../build/nccl-standalone}
gpus=${GPUS:-1}
if [ $# -lt 2 ] || [ ! -x "$build/rank.sh" ]; then
  echo "usage: [BUILD_DIR=...] ${0##*/} RANKS COLLECTIVE [options]     (rank.sh is looked for in $build)" >&2
  exit 2
fi
ranks=$1
shift

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export WORLD_SIZE=$ranks MASTER_ADDR=127.0.0.1 MASTER_PORT=$port FAKECUDA_DEVICES=$gpus
export NCCL_SOCKET_IFNAME="${NCCL_SOCKET_IFNAME-lo}" NCCL_NET="${NCCL_NET-Socket}"
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || :' INT TERM
for ((rank = 0; rank < ranks; rank++)); do
  RANK=$rank LOCAL_RANK=$((rank % gpus)) NCCL_HOSTID=fakecuda-node-$((rank / gpus)) "$build/rank.sh" "$@" &
  pids+=($!)
done
status=0
for pid in "${pids[@]}"; do
  wait "$pid" || status=1
done
exit $status
