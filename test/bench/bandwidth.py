"""All-reduce against the cable: one rank of a shaped `nccl-relay lab run chain:3`.

Round by round, first one iperf3 stream from A to its neighbour B, then NCCL's all-reduce over all three nodes.
"""
import json
import os
import subprocess
import sys
import time

NEIGHBOUR = "10.77.0.2"  # B on the cable to A
PORT = 5201


def say(record):
    print("BENCH " + json.dumps(record), flush=True)


def serve_iperf():
    subprocess.run(["iperf3", "-s", "-1", "-B", NEIGHBOUR, "-p", str(PORT)], stdout=subprocess.DEVNULL, check=True)


def iperf(seconds):
    """Bytes per second that arrived, without the first second."""
    command = ["iperf3", "-c", NEIGHBOUR, "-p", str(PORT), "-t", str(seconds), "-O", "1", "-J"]
    for _ in range(200):
        done = subprocess.run(command, stdout=subprocess.PIPE)
        received = json.loads(done.stdout or "{}").get("end", {}).get("sum_received")
        if received:
            return received["bits_per_second"] / 8
        time.sleep(0.05)  # B's server is not there yet; iperf3 may call that a success
    raise SystemExit(f"iperf3: {done.stdout.decode(errors='replace')}")


def all_reduce(rank_sh, iterations):
    command = [rank_sh, "all_reduce", "-b", "16M", "-e", "16M", "-n", str(iterations), "--json"]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def bus_bandwidth(table):
    """Bytes per second as nccl-tests reckons them, out of place and in place taken together."""
    row = json.loads(table)["rows"][0]
    return sum(row[kind]["busbw"] for kind in ("out_of_place", "in_place")) / 2 * 1e9


def main():
    rank_sh, rounds, seconds, iterations = sys.argv[1], *map(int, sys.argv[2:5])
    rank = os.environ["RANK"]
    for turn in range(rounds):
        if rank == "1":
            serve_iperf()
        goodput = iperf(seconds) if rank == "0" else None
        table = all_reduce(rank_sh, iterations)
        if rank == "0":
            say({"turn": turn, "iperf": goodput, "all_reduce": bus_bandwidth(table)})


if __name__ == "__main__":
    main()
