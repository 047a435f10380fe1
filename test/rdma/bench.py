#!/usr/bin/env python3
"""Side by side over soft-RoCE, interleaved: the plugin direct and through a relay, and the verbs tools on the same link.
usage: bench.py --build build/release [--rounds 3] [--cache build/rdma]

Soft-RoCE in an emulated machine says nothing of hardware's speed: what counts are the ratios within one run, and the counts.
"""
import argparse
import json
import pathlib
import re
import statistics
import tempfile

from lab import ROOT, Lab
from shape import Shape
from verbs import pair

MIB = 1 << 20
CHAIN = "chain:3"


def perf(lab, arguments, hosts, agents=()):
    """The rows of rank 0, and the run."""
    commands = [f"{host}: exec {lab.relay} perf {arguments} --channels 1 --json" for host in hosts]
    run = lab.run(CHAIN, *commands, agents=agents, status=True).ok()
    document = json.loads(run.says(hosts[0], "{"))
    assert document["out_of_bounds"] == 0, run.text()
    return document["rows"], run


def verbs(lab, tool, options, column):
    near, far = pair(Shape(CHAIN), "A", "B", tool, options)
    run = lab.run(CHAIN, f"A: {near}", f"B: {far}").ok()
    rows = [line.split() for line in run.outputs["A"].splitlines() if re.match(r"\s*\d+\s+\d+\s+[\d.]+", line)]
    assert rows, run.text()
    return float(rows[-1][column])


def measure(lab):
    """One round: name -> value. MB/s and us, one way."""
    out = {}
    out["ib_write_bw 1 MiB, MB/s"] = verbs(lab, "ib_write_bw", f"-s {MIB} -n 64 -t 8 -F", 3) * MIB / 1e6
    rows, _ = perf(lab, "broadcast -b 16M -e 16M -n 2 -w 1 -c 0 --proto simple", "AB")
    out["direct, MB/s"] = 16 * MIB / rows[-1]["time_us"]
    rows, run = perf(lab, "broadcast -b 16M -e 16M -n 2 -w 1 -c 0 --proto simple", "AC", agents=["B"])
    out["through a relay, MB/s"] = 16 * MIB / rows[-1]["time_us"]
    counters = run.counters("B")
    out["bytes relayed"], out["bytes that the relay copied"] = counters["relayed_bytes"], counters["relay_copied_bytes"]
    out["ib_write_lat 8 B, us"] = verbs(lab, "ib_write_lat", "-s 8 -n 300 -F", 4)
    rows, _ = perf(lab, "pingpong -b 8 -e 8 -n 200 -w 20 -c 0", "AB")
    out["direct 8 B, us"] = rows[-1]["time_us"]
    rows, _ = perf(lab, "pingpong -b 8 -e 8 -n 200 -w 20 -c 0", "AC", agents=["B"])
    out["through a relay 8 B, us"] = rows[-1]["time_us"]
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--cache", type=pathlib.Path, default=ROOT / "build/rdma")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    env = {"NCCL_NET_PLUGIN": str(build / "libnccl-net-relay.so"), "NCCL_DEBUG": "INFO"}
    with tempfile.TemporaryDirectory() as out:
        lab = Lab(arguments.cache.resolve(), build, pathlib.Path(out), env=env)
        try:
            rounds = [measure(lab) for _ in range(arguments.rounds)]
        finally:
            lab.close()
    medians = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    for name, median in medians.items():
        print(f"{name:32}" + "".join(f"{r[name]:14.1f}" for r in rounds) + f"   median {median:14.1f}")
    print(f"\ndirect / ib_write_bw: {medians['direct, MB/s'] / medians['ib_write_bw 1 MiB, MB/s']:.2f}")
    print(f"direct 8 B / ib_write_lat: {medians['direct 8 B, us'] / medians['ib_write_lat 8 B, us']:.2f}")
    print(f"through a relay 8 B / direct 8 B: {medians['through a relay 8 B, us'] / medians['direct 8 B, us']:.2f}")
    assert medians["bytes that the relay copied"] == 0 and medians["bytes relayed"] > 0


if __name__ == "__main__":
    main()
