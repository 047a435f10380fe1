#!/usr/bin/env python3
"""How long a running all-reduce of ring:4 pauses when something breaks, with the knobs as they are.

    test/bench/recovery.py --build build/release [--rounds 20] [--logs DIR]

A pause is the longest time of any rank in which requests were outstanding and none was completed (`perf --gap`).
"""
import argparse
import pathlib
import statistics
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "test/e2e/faults"), str(ROOT / "test/e2e")]

from cell import lab_run  # noqa: E402

AT = 1.5  # seconds after the ranks' start
SECONDS = 4
# What breaks, the ranks, the lab's options, and the longest median.
CASES = {
    "a cable is cut, and both ends see it": ("A,B,C,D", [f"--cut A-B@{AT}s"], 1.0),
    # Nobody says goodbye: no packet of B's arrives any more, and the ends of its cables stay up.
    "the relay's host vanishes": ("A,C", [f"--drop A-B@{AT}s", f"--drop B-C@{AT}s", f"--stop B@{AT}s"], 5.0),
}


def pause(build, folder, ranks, faults):
    """Seconds. None: nothing was broken in the middle of the traffic, or not what was in use."""
    options = ["--discover", "--timeout", "90", "--ranks", ranks, "--agents", "all", *" ".join(faults).split()]
    command = (f"sleep 0.5; exec {build}/nccl-relay perf all_reduce -b 1M -e 1M --seconds {SECONDS} --gap --phases --json "
               "--channels 1 --timeout 60")
    run = lab_run(build, folder, "ring:4", options, command,
                  {"NCCL_NET_PLUGIN": build / "libnccl-net-relay.so", "NCCL_DEBUG": "INFO"})
    (folder / "run.txt").write_text(run.text())
    came = run.when("lab: " + faults[0].removeprefix("--"))
    in_use = any("connected to" in line and ("ab--ba" in line or "ba--ab" in line) for _, line in run.lines)
    if came is None or not in_use or any(run.phase_at(node, came) != "traffic" for node in ranks.split(",")):
        return None
    document = run.document()
    if run.status != 0 or document is None or document["wrong"] > 0:
        sys.exit(f"it did not go on, or not with right results: {folder}/run.txt")
    return document["longest_gap_s"]


def pauses(build, folder, rounds, ranks, faults):
    """So many. A round that proves nothing is played again: of two equal paths a connection takes the nearer one, by
    microseconds."""
    out = []
    for turn in range(4 * rounds):
        where = folder / f"{faults[0].split()[0].removeprefix('--')}-{turn}"
        where.mkdir(parents=True)
        seconds = pause(build, where, ranks, faults)
        if seconds is not None:
            out.append(seconds)
        if len(out) == rounds:
            return out
    sys.exit(f"in only {len(out)} of {4 * rounds} rounds something in use broke in the middle of the traffic: {folder}")


def measure(build, rounds, folder=None):
    """(what, median, maximum, longest median) of every case, printed as it comes."""
    folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="recovery-"))
    print(f"all-reduce of 1 MiB on ring:4, the longest pause of any rank in seconds, {rounds} rounds each")
    for what, (ranks, faults, limit) in CASES.items():
        all_of_them = pauses(build, folder, rounds, ranks, faults)
        median, longest = statistics.median(all_of_them), max(all_of_them)
        print(f"  {what:38} median {median:.3f}  maximum {longest:.3f}  of " +
              " ".join(f"{s:.2f}" for s in all_of_them), flush=True)
        yield what, median, longest, limit


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=str(ROOT / "build/release"), help="the build folder")
    parser.add_argument("--rounds", type=int, default=20, help="of each case")
    parser.add_argument("--logs", help="keep every round's output here")
    args = parser.parse_args()
    build = pathlib.Path(args.build).resolve()
    late = [what for what, median, _, limit in measure(build, args.rounds, args.logs) if median > limit]
    sys.exit("too long: " + "; ".join(late) if late else 0)


if __name__ == "__main__":
    main()
