#!/usr/bin/env python3
"""Benchmarks: four that are gates, and what else is worth a look. Exit status 1 when a gate fails.

    test/bench/run.py --build build/release [--gates] [--only bandwidth,relay]

Figures that stand in one line come from one lab run, so that they share the machine's mood; compare nothing else.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

import recovery as recovery_bench

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GIB = 1 << 30

BANDWIDTH_AT_LEAST = 0.95  # of one iperf3 stream on one cable
RELAY_CPU_AT_MOST = 1.15  # of a bare splice loop
FIRST_CONNECTION_WITHIN = 2.0  # seconds, where the fabric is discovered


class Bench:
    def __init__(self, build, quick):
        self.build, self.quick, self.failed = build, quick, []

    def lab(self, topology, *command, options=(), env=None):
        """The output of all ranks, as (node, line)."""
        args = [str(self.build / "nccl-relay"), "lab", "run", topology, "--timeout", "300", *options]
        for name, value in (env or {}).items():
            args += ["--env", f"{name}={value}"]
        done = subprocess.run([*args, "--", *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, text=True, errors="replace")
        if done.returncode != 0:
            sys.exit(f"{' '.join(args)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return [tuple(line.split("| ", 1)) for line in done.stdout.splitlines() if "| " in line]

    def records(self, *args, **kwargs):
        return [json.loads(line[len("BENCH "):]) for _, line in self.lab(*args, **kwargs) if line.startswith("BENCH ")]

    def nccl(self, topology, *command, **kwargs):
        """The JSON that rank 0 prints."""
        lines = self.lab(topology, self.build / "test/nccl/rank.sh", *command, "--json", **kwargs)
        return json.loads("".join(line for node, line in lines if line.startswith("{")))

    def gate(self, what, value, holds, limit):
        print(f"  {'ok  ' if holds else 'FAIL'} {what}: {value} ({limit})\n", flush=True)
        if not holds:
            self.failed.append(what)


def measure_bandwidth(bench):
    rounds, seconds, iterations = (3, 2, 10) if bench.quick else (5, 4, 20)
    rows = bench.records("chain:3", sys.executable, HERE / "bandwidth.py", bench.build / "test/nccl/rank.sh", rounds,
                         seconds, iterations, options=("--rate", "1gbit", "--mtu", "9000"))
    print("all-reduce of 16 MiB, chain:3 at 1 Gbit/s, MTU 9000\n  round   iperf3 MB/s   busbw MB/s")
    for row in rows:
        print(f"  {row['turn']:5}  {row['iperf'] / 1e6:12.2f} {row['all_reduce'] / 1e6:12.2f}")
    return statistics.median(r["all_reduce"] for r in rows) / statistics.median(r["iperf"] for r in rows)


def bandwidth(bench):
    """NCCL's all-reduce on a shaped chain against one stream on one of its cables. Other work on the machine takes from the
    emulated GPUs and never from that stream: a first result below the limit is measured once more."""
    ratio = measure_bandwidth(bench)
    if ratio < BANDWIDTH_AT_LEAST:
        print(f"  {ratio:.3f}: once more")
        ratio = measure_bandwidth(bench)
    bench.gate("all-reduce bus bandwidth / iperf3 goodput, medians", f"{ratio:.3f}", ratio >= BANDWIDTH_AT_LEAST,
               f"at least {BANDWIDTH_AT_LEAST}")


def relay(bench):
    """The relay's processor time against a bare splice loop."""
    size, rounds = (2 * GIB, 3) if bench.quick else (8 * GIB, 7)
    records = bench.records("chain:3", sys.executable, HERE / "relay_cpu.py", bench.build, size, rounds,
                            options=("--mtu", "9000", "--agents", "A,C"))
    print(f"one connection A-B-C, {size >> 30} GiB a round, unshaped, MTU 9000\n"
          "  round  means     GB/s   CPU s/GB   splices/GB   copied   not accounted for")
    cost = {"splice": [], "agent": []}
    copied, lost = 0, 0
    for turn in range(2 * rounds):
        a, b, c = sorted((r for r in records if r["turn"] == turn), key=lambda r: r["rank"])
        gigabytes = b["relayed_bytes"] / 1e9
        missing = a["wire_bytes"] + c["wire_bytes"] - b["relayed_bytes"]
        copied, lost = copied + b.get("relay_copied_bytes", 0), lost + abs(missing)
        cost[b["means"]].append(b["cpu"] / gigabytes)
        print(f"  {turn // 2:5}  {b['means']:7} {a['bytes'] / a['seconds'] / 1e9:6.2f} {cost[b['means']][-1]:10.3f} "
              f"{b['splice_calls'] / gigabytes:12.0f} {b.get('relay_copied_bytes', 0):8} {missing:10}")
    ratio = statistics.median(cost["agent"]) / statistics.median(cost["splice"])
    bench.gate("relay CPU / bare splice loop, medians", f"{ratio:.3f}", ratio <= RELAY_CPU_AT_MOST,
               f"at most {RELAY_CPU_AT_MOST}")
    bench.gate("bytes that the relay copied in user space", copied, copied == 0, "0")
    bench.gate("bytes sent by the ends and not counted by the relay", lost, lost == 0, "0")


def first(bench):
    """No file, no agent: from the start of the last process to the first connection, and to the last one."""
    say = 'case "$line" in *"connected to "*) echo CONNECTED $(date +%s%N);; *FAIL*|*WARN*) echo "$line";; esac'
    script = f"echo START $(date +%s%N); {bench.build}/nccl-relay perf sendrecv -b 8 -e 8 -n 1 2>&1 | while read -r line; do {say}; done"
    firsts, lasts = [], []
    for _ in range(3 if bench.quick else 10):
        lines = bench.lab("chain:3", "sh", "-c", script, options=("--discover", "--agents", "none"),
                          env={"NCCL_DEBUG": "INFO", "NCCL_NET_PLUGIN": bench.build / "libnccl-net-relay.so"})
        start = max(int(line.split()[1]) for _, line in lines if line.startswith("START"))
        connected = [int(line.split()[1]) - start for _, line in lines if line.startswith("CONNECTED")]
        if not connected:
            sys.exit("nothing connected:\n" + "\n".join(map(str, lines)))
        firsts.append(min(connected) / 1e9)
        lasts.append(max(connected) / 1e9)
    print("chain:3, no fabric file, no agent, seconds after the start of the last process\n  first connection   last connection")
    for one, other in zip(firsts, lasts):
        print(f"  {one:16.3f} {other:17.3f}")
    median = statistics.median(firsts)
    bench.gate("first connection, median", f"{median:.3f} s", median <= FIRST_CONNECTION_WITHIN,
               f"at most {FIRST_CONNECTION_WITHIN} s")


def recovery(bench):
    """How long a running job pauses when something breaks."""
    for what, median, _, limit in recovery_bench.measure(bench.build, 3 if bench.quick else 20):
        bench.gate(f"pause when {what}, median", f"{median:.3f} s", median <= limit, f"at most {limit} s")


def latency(bench):
    """Eight bytes there and back between neighbours, and through a relay."""
    print("sendrecv of 8 B (emulated GPUs: only the difference means something)\n  path           time us")
    for name, ranks in (("direct, A-B", "A,B"), ("relayed, A-B-C", "A,C")):
        table = bench.nccl("chain:3", "sendrecv", "-b", "8", "-e", "8", "-n", "200", options=("--ranks", ranks))
        print(f"  {name:15}{table['rows'][0]['out_of_place']['time_us']:8.1f}", flush=True)
    print()


def sizes(bench):
    """Per size, through the plugin and through NCCL's own sockets over routed IP."""
    command = ("all_reduce", "-b", "8", "-e", "32M", "-f", "8", "-n", "10")
    mtu = ("--mtu", "9000")
    ours = bench.nccl("chain:3", *command, options=mtu)
    theirs = bench.nccl("chain:3", *command, options=(*mtu, "--control", "routes"),
                        env={"NCCL_NET": "Socket", "NCCL_NET_PLUGIN": "none"})
    print("all-reduce, chain:3, unshaped, MTU 9000: busbw in MB/s\n       bytes      Relay   Socket, routed IP")
    for mine, other in zip(ours["rows"], theirs["rows"]):
        pair = [row["out_of_place"]["busbw"] * 1e3 for row in (mine, other)]
        print(f"  {mine['size']:10} {pair[0]:10.2f} {pair[1]:12.2f}")
    print()


def micro(bench):
    """Functions, without a network."""
    subprocess.run(["cmake", "--build", str(bench.build), "--target", "relay_bench"], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run([str(bench.build / "test/bench/relay_bench"), "--benchmark_min_time=0.2"], check=True,
                   stderr=subprocess.DEVNULL)


def main():
    gated, reported = (bandwidth, relay, first, recovery), (latency, sizes, micro)
    names = [f.__name__ for f in (*gated, *reported)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=str(ROOT / "build/release"), help="the build folder")
    parser.add_argument("--gates", action="store_true", help="only the gates, in short")
    parser.add_argument("--only", help=f"of {','.join(names)}")
    args = parser.parse_args()
    bench = Bench(pathlib.Path(args.build).resolve(), args.gates)
    wanted = args.only.split(",") if args.only else [f.__name__ for f in (gated if args.gates else (*gated, *reported))]
    for benchmark in (*gated, *reported):
        if benchmark.__name__ in wanted:
            benchmark(bench)
    if bench.failed:
        sys.exit("failed: " + "; ".join(bench.failed))


if __name__ == "__main__":
    main()
