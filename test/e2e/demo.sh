#!/usr/bin/env bash
# NCCL's collectives over a chain A-B-C in which A and C share no link; then what NCCL does there alone.
# usage: demo.sh build/release
set -euo pipefail
build=$(cd "$1" && pwd)
relay=$build/nccl-relay rank=$build/test/nccl/rank.sh
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT

echo "Three nodes, two cables: A --- B --- C. NCCL's ring needs C -> A, which no cable joins."
echo
# The agents' logs of the last collective are read below.
for collective in all_reduce all_gather reduce_scatter broadcast alltoall; do
  echo "== $collective through libnccl-net-relay.so"
  rm -f "$log"/agent-*.log
  "$relay" lab run chain:3 --log-dir "$log" --counters-json "$log/counters.json" \
    --env NCCL_DEBUG=INFO --env NCCL_DEBUG_FILE="$log/nccl.%h.log" -- "$rank" "$collective" -b 8 -e 32M -f 8 -n 5 |
    sed -n 's/^A| //p'
done

echo "== which way the bytes of the last one went"
python3 - "$log/counters.json" <<'PY'
import json, sys
nodes = json.load(open(sys.argv[1]))
print(f"{'node':6}{'interface':12}{'received MB':>14}{'sent MB':>12}")
for node, interfaces in nodes.items():
    for name, c in interfaces.items():
        if name in ("ip_forwarded", "lo"):
            continue
        note = "  <- the LAN carries NCCL's bootstrap only" if name == "ctl" else ""
        print(f"{node:6}{name:12}{c['rx_bytes'] / 1e6:14.1f}{c['tx_bytes'] / 1e6:12.1f}{note}")
print(f"packets forwarded by B's kernel: {nodes['B']['ip_forwarded']}")
PY
echo
echo "== circuits that the agent of B relayed for it"
grep -h 'circuit .* ended' "$log"/agent-B.log | sed 's/^.*INFO //' | grep -vE ': [0-9]{1,6} bytes forward'
grep -h 'relaying circuit' "$log"/agent-B.log | sed 's/^.*: /path: /' | sort | uniq -c
echo
echo "== the same chain with NCCL's own Socket transport on the cables, 10 seconds"
if "$relay" lab run chain:3 --timeout 10 --grace 10 --env NCCL_NET=Socket --env NCCL_NET_PLUGIN=none \
  --env NCCL_SOCKET_IFNAME=^ctl,lo --env NCCL_DEBUG=WARN -- "$rank" all_reduce -b 8 -e 8 >"$log/alone" 2>&1; then
  echo "it passed: this chain is no chain" >&2
  exit 1
fi
grep -E 'unreachable|still running|ended with|failed' "$log/alone" | cut -c1-200
