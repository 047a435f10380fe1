#!/usr/bin/env python3
"""Side by side over soft-RoCE, interleaved: the plugin direct and through a relay, and the verbs tools on the same link.
usage: bench.py --build build/release [--rounds 3] [--cache build/rdma]

Soft-RoCE in an emulated machine says nothing of hardware's speed: what counts are the ratios within one run, and the counts.
"""
import argparse
import pathlib
import re
import statistics
import tempfile

from lab import ROOT, Lab
from shape import Shape
from verbs import pair

MIB = 1 << 20
CHAIN = "chain:3"
MESSAGES = 200  # of each latency test, after WARMUP, in both directions
WARMUP = 20
# NCCL's own IB transport runs with this version on devices that are not Mellanox's.
NCCL = "2.22.3"
# Requests and their acknowledgements on the wire, per message of 8 bytes: news of a posted receive and the write; through
# a relay both hops carry the news, the message and its acknowledgement, and some of the messages are followed by credit.
PACKETS = {"direct": (4.0, 4.1), "relayed": (12.0, 14.0)}


def perf(lab, arguments, hosts, agents=()):
    """The rows of rank 0, and the run."""
    commands = [f"{host}: {lab.relay} perf {arguments} --channels 1 --json" for host in hosts]
    run = lab.run(CHAIN, *commands, agents=agents, status=True).ok()
    document = run.document()
    assert document["out_of_bounds"] == 0, run.text()
    return document["rows"], run


def verbs(lab, tool, options, column):
    near, far = pair(Shape(CHAIN), "A", "B", tool, options)
    run = lab.run(CHAIN, f"A: {near}", f"B: {far}").ok()
    rows = [line.split() for line in run.outputs["A"].splitlines() if re.match(r"\s*\d+\s+\d+\s+[\d.]+", line)]
    assert rows, run.text()
    return float(rows[-1][column])


def bandwidth(lab, hosts, agents=()):
    rows, run = perf(lab, "broadcast -b 16M -e 16M -n 3 -w 1 -c 0 --proto simple", hosts, agents)
    return 16 * MIB / rows[-1]["time_us"], run


def latency(lab, hosts, agents=()):
    """us, and packets per message."""
    rows, run = perf(lab, f"pingpong -b 8 -e 8 -n {MESSAGES} -w {WARMUP} -c 0 --one-thread", hosts, agents)
    assert run.found_no_receive() == 0, run.text()
    return rows[-1]["time_us"], sum(device["sent_pkts"] for device in run.counted.values()) / (2 * (MESSAGES + WARMUP))


def measure(lab):
    """One round: name -> value. MB/s and us, one way."""
    out = {}
    out["ib_write_bw 1 MiB, MB/s"] = verbs(lab, "ib_write_bw", f"-s {MIB} -n 64 -t 8 -F", 3) * MIB / 1e6
    out["direct, MB/s"], _ = bandwidth(lab, "AB")
    out["through a relay, MB/s"], run = bandwidth(lab, "AC", ["B"])
    counters = run.counters("B")
    out["bytes relayed"], out["bytes that the relay copied"] = counters["relayed_bytes"], counters["relay_copied_bytes"]
    out["bytes per relayed packet"] = counters["relayed_bytes"] / counters["relayed_packets"]
    out["ib_write_lat 8 B, us"] = verbs(lab, "ib_write_lat", "-s 8 -n 300 -F", 4)
    out["direct 8 B, us"], out["direct 8 B, packets"] = latency(lab, "AB")
    out["through a relay 8 B, us"], out["through a relay 8 B, packets"] = latency(lab, "AC", ["B"])
    return out


def nccl(lab, **env):
    """The real NCCL between neighbours: bytes -> us, and the transport that it used."""
    command = "sendrecv -b 4K -e 8M -f 2 -n 5 -w 2 -c 0"
    run = lab.nccl("chain:2", command, env={"RELAY_TEST_NCCL": NCCL, "FAKECUDA_GUARD": "0", **env}).ok()
    rows = [line.split() for line in run.outputs["A"].splitlines() if re.match(r"\s*\d+\s+\d+\s+float", line)]
    assert rows, run.text()
    return {int(row[0]): float(row[5]) for row in rows}, set(re.findall(r"via NET/(\w+)", run.outputs["A"]))


def nccl_round(lab):
    ours, by = nccl(lab)
    assert by == {"Relay"}, by
    own, by = nccl(lab, NCCL_NET_PLUGIN="none", NCCL_NET="IB", NCCL_GIN_ENABLE="0")
    assert by == {"IB"}, by
    return ours, own


def print_nccl(rounds):
    print(f"\nNCCL {NCCL}, sendrecv between neighbours, us: medians of {len(rounds)} rounds in turn\n")
    print(f"{'bytes':>10}{'plugin':>12}{'own IB':>12}{'own / plugin':>14}")
    ratios = []
    for size in rounds[0][0]:
        ours, own = (statistics.median(r[which][size] for r in rounds) for which in (0, 1))
        ratios.append(own / ours)
        print(f"{size:10}{ours:12.1f}{own:12.1f}{ratios[-1]:14.2f}")
    print(f"{'geometric mean':>34}{statistics.geometric_mean(ratios):14.2f}")


def judge(medians):
    """Counts alone: speeds of an emulated machine are its own."""
    assert medians["bytes that the relay copied"] == 0 and medians["bytes relayed"] > 0, medians
    assert medians["bytes per relayed packet"] > 100e3, medians
    for way, name in (("direct", "direct 8 B, packets"), ("relayed", "through a relay 8 B, packets")):
        lowest, highest = PACKETS[way]
        assert lowest <= medians[name] <= highest, f"{name}: {medians[name]}, want {lowest} to {highest}"


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
            nccl_rounds = [nccl_round(lab) for _ in range(arguments.rounds)]
        finally:
            lab.close()
    medians = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    for name, median in medians.items():
        print(f"{name:32}" + "".join(f"{r[name]:14.1f}" for r in rounds) + f"   median {median:14.1f}")
    print(f"\ndirect / ib_write_bw: {medians['direct, MB/s'] / medians['ib_write_bw 1 MiB, MB/s']:.2f}")
    print(f"direct 8 B / ib_write_lat: {medians['direct 8 B, us'] / medians['ib_write_lat 8 B, us']:.2f}")
    print(f"through a relay 8 B / direct 8 B: {medians['through a relay 8 B, us'] / medians['direct 8 B, us']:.2f}")
    print_nccl(nccl_rounds)
    judge(medians)
    print("\ncounts: as the design says")


if __name__ == "__main__":
    main()
