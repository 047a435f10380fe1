#!/usr/bin/env python3
"""Random jobs and random faults on a random fabric, for a while: every result is checked, and what long-lived processes hold
is watched. The same seed gives the same rounds.

    test/e2e/soak.py --build build/release --minutes 30 [--seed 1] [--nodes 6] [--logs DIR]

One job runs through all of it. Beside it each round has a job of its own, and a fault while it runs: one that must be
survived, or the death of one of the round's ranks, of which the others must hear at once. Exit status 0: no wrong byte, no
hang, nothing unexpected, nothing that grows.
"""
import argparse
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/e2e"))

from standing_lab import AGENT, RANK, StandingLab, Use, survivable  # noqa: E402

KNOBS = {"NCCL_RELAY_CONNECT_TIMEOUT": 30, "NCCL_RELAY_RECOVER_TIMEOUT": 30, "NCCL_RELAY_HOP_TIMEOUT": 2, "NCCL_RELAY_LINGER": 2}
HANG = 120        # a job that ends so late hangs
AT_ONCE = 8       # the death of a rank is heard within this, on a busy machine
# What a process may hold more in the last quarter of its life than in the second.
GROWTH = Use(rss_kib=4096, fds=32, threads=2)  # circuits of the long job move between relays, and hold descriptors there
LEFT_FDS = 4      # what an agent may hold more when all jobs are over than before the first
ENOUGH = 8        # samples

PATTERNS = ("all_reduce", "all_reduce --algo tree", "all_gather", "all_gather --algo pat", "reduce_scatter",
            "reduce_scatter --algo pat", "broadcast", "reduce", "alltoall", "sendrecv")
SIZES = ("-b 8 -e 8K -f 4", "-b 1K -e 256K -f 4", "-b 64K -e 1M -f 2", "-b 1M -e 4M -f 2")


class Job:
    """`nccl-relay perf` on some nodes of the lab."""

    def __init__(self, lab, name, nodes, arguments, port, log_dir):
        self.name, self.nodes, self.processes = name, nodes, {}
        for rank, node in enumerate(nodes):
            env = [f"RANK={rank}", f"WORLD_SIZE={len(nodes)}", "LOCAL_RANK=0", f"MASTER_PORT={port}", f"SOAK_JOB={name}."]
            env.append("MASTER_ADDR=" + self.address(lab, nodes[0]))
            log = (pathlib.Path(log_dir) / f"{name}-{node}.txt").open("w+", encoding="utf-8")
            args = lab.args(node, "env", *env, f"{lab.build}/nccl-relay", "perf", *arguments.split(), "--json")
            self.processes[node] = (subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=log, stderr=log), log)

    @staticmethod
    def address(lab, node):
        return lab.say(node, "ip -4 -br addr show dev ctl").split()[2].split("/")[0]

    def running(self):
        return any(process.poll() is None for process, _ in self.processes.values())

    def wait(self, seconds):
        """False: some rank did not end, and was ended."""
        deadline, ended = time.monotonic() + seconds, True
        for process, _ in self.processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                ended = False
                process.kill()
                process.wait()
        return ended

    def said(self, node):
        log = self.processes[node][1]
        log.flush()
        log.seek(0)
        return log.read()

    def statuses(self):
        return {node: process.returncode for node, (process, _) in self.processes.items()}

    def document(self):
        return next((json.loads(line) for line in self.said(self.nodes[0]).splitlines() if line.startswith("{")), None)

    def close(self):
        for _, log in self.processes.values():
            log.close()


@dataclass
class Round:
    nodes: list
    arguments: str
    fault: str
    what: object  # a link or a node
    at: float
    lasts: float

    def __str__(self):
        return f"{self.arguments} on {' '.join(self.nodes)}; {self.fault} {self.what} at {self.at:.1f} s for {self.lasts:.1f} s"


LINK_FAULTS = ("cut", "drop", "slow", "lose", "shrink", "flap")
NODE_FAULTS = ("stop agent", "restart agent", "isolate", "stop rank", "kill rank")


def draw(rng, fabric):
    nodes = rng.sample(fabric.nodes, rng.randint(2, len(fabric.nodes)))
    arguments = f"{rng.choice(PATTERNS)} {rng.choice(SIZES)} --channels {rng.randint(1, 2)} --seconds 5 --gap --patience 3"
    if rng.random() < 0.2:
        arguments += " --fresh"
    fault = rng.choice(LINK_FAULTS + NODE_FAULTS)
    what = rng.choice(fabric.links) if fault in LINK_FAULTS else rng.choice(nodes if "rank" in fault else fabric.nodes)
    return Round(nodes, arguments, fault, what, rng.uniform(0.2, 3), rng.uniform(0.3, 4))


class Soak:
    def __init__(self, lab, rng, log_dir):
        self.lab, self.rng, self.log_dir = lab, rng, log_dir
        self.bad, self.rounds, self.outcomes, self.gaps = [], 0, {}, []
        self.uses = {}  # (what, pid): samples

    def inflict(self, r):
        """Until it is healed. What stays broken between two breaks of a second is broken for good, as far as a job sees."""
        mark = f"SOAK_JOB=round{self.rounds}."
        lab = self.lab
        if r.fault in ("cut", "drop", "slow", "lose", "shrink"):
            getattr(lab, r.fault)(r.what)
            time.sleep(r.lasts)
            lab.heal(r.what)
        elif r.fault == "flap":
            for _ in range(10):
                lab.cut(r.what)
                lab.heal(r.what)
        elif r.fault == "isolate":
            links = [link for link in lab.fabric.links if r.what in (node for node, _ in link.ends)]
            for link in links:
                lab.cut(link)
            time.sleep(r.lasts)
            for link in links:
                lab.heal(link)
        elif r.fault == "restart agent":
            lab.restart_agent(r.what)
        elif r.fault == "kill rank":
            lab.signal(signal.SIGKILL, r.what, RANK, mark)
        else:
            who = (RANK, mark) if r.fault == "stop rank" else (AGENT, "")
            lab.signal(signal.SIGSTOP, r.what, *who)
            time.sleep(r.lasts)
            lab.signal(signal.SIGCONT, r.what, *who)

    def play(self, r):
        self.rounds += 1
        job = Job(self.lab, f"round{self.rounds}", r.nodes, r.arguments, 29501 + self.rounds % 1000, self.log_dir)
        time.sleep(r.at)
        self.inflict(r)
        healed = time.monotonic()
        verdict = self.judge(r, job) if job.wait(HANG) else "HANGS"
        if r.fault == "kill rank" and time.monotonic() - healed > AT_ONCE:
            verdict = verdict or f"LATE: {time.monotonic() - healed:.1f} s"
        job.close()
        document = self.document(job)
        gap = document["longest_gap_s"] if document else None
        self.gaps += [gap] if gap is not None and r.fault != "kill rank" else []
        self.outcomes[r.fault] = self.outcomes.get(r.fault, 0) + 1
        outcome = verdict or ("ended with an error, as it must" if document is None
                              else f"right, {document['repetitions']} times, gap {gap:.2f} s")
        print(f"{self.rounds:4} {r}: {outcome}", flush=True)
        if verdict:
            self.bad.append(f"round {self.rounds}: {r}: {verdict}")
        else:
            for node in r.nodes:
                (pathlib.Path(self.log_dir) / f"{job.name}-{node}.txt").unlink()
        self.sample()

    def document(self, job):
        path = pathlib.Path(self.log_dir) / f"{job.name}-{job.nodes[0]}.txt"
        return next((json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")), None)

    def judge(self, r, job):
        """Nothing, or what is wrong."""
        document, statuses = job.document(), job.statuses()
        if document is not None and document["wrong"] > 0:
            return f"WRONG: {document['wrong']} elements"
        if r.fault == "kill rank":
            alive = [node for node in r.nodes if node != r.what and statuses[node] == 0]
            # Who was killed when all was over is missed by nobody.
            return f"NOT TOLD: {' '.join(alive)}" if alive and document is None and statuses[r.what] != 0 else ""
        if any(statuses.values()) or document is None:
            said = [line for node in r.nodes for line in job.said(node).splitlines()]
            first = next((line for line in said if "nccl-relay perf: rank" in line), "")
            return f"DID NOT GO ON: {first}"
        return ""

    # What long-lived processes hold ----------------------------------------------------------------------------------

    def sample(self):
        for node in self.lab.fabric.nodes:
            for what, comm, mark in (("agent", AGENT, ""), ("long job", RANK, "SOAK_JOB=long.")):
                for pid in self.lab.processes(node, comm, mark):
                    use = Use.of(pid)
                    if use is not None:
                        self.uses.setdefault((f"{what} of {node}", pid), []).append((time.monotonic(), use))

    def report(self):
        print("what processes held from beginning to end, and the slope per hour, without the first quarter of their life")
        print(f"  {'':18} {'rounds':>6} {'RSS KiB':>16} {'/h':>8} {'fds':>10} {'/h':>7} {'threads':>8} {'/h':>7}")
        for (what, _), samples in sorted(self.uses.items()):
            if len(samples) < ENOUGH:
                continue
            settled = samples[len(samples) // 4:]
            text = f"  {what:18} {len(samples):6}"
            for name, width in (("rss_kib", 16), ("fds", 10), ("threads", 8)):
                values = [getattr(use, name) for _, use in settled]
                text += f" {f'{values[0]}..{values[-1]}':>{width}} {self.slope([t for t, _ in settled], values):7.1f}"
                third = max(1, len(values) // 3)
                growth = statistics.median(values[-third:]) - statistics.median(values[:third])
                if growth > getattr(GROWTH, name):
                    self.bad.append(f"{what}: {name} grew by {growth}")
            print(text)

    def agents_fds(self):
        """Without pipes: idle ones stay for the next circuit, a bounded number of them."""
        held = {}
        for node in self.lab.fabric.nodes:
            for pid in self.lab.processes(node, AGENT):
                links = [os.readlink(link) for link in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
                held[node] = sum(not link.startswith("pipe:") for link in links)
        return held

    def check_fds(self, before):
        """When all jobs are over, agents hold what they held before the first."""
        deadline = time.monotonic() + 10
        while True:
            after = self.agents_fds()
            more = {node: after.get(node, 0) - fds for node, fds in before.items() if after.get(node, 0) > fds + LEFT_FDS}
            if not more or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        print(f"descriptors of the agents before and after: {' '.join(f'{n} {before[n]}..{after.get(n)}' for n in before)}")
        self.bad += [f"agent of {node}: {count} descriptors are left" for node, count in more.items()]

    @staticmethod
    def slope(times, values):
        return statistics.linear_regression([t / 3600 for t in times], values).slope


def soak(args, lab, rng, log_dir):
    seconds = int(args.minutes * 60)
    play = Soak(lab, rng, log_dir)
    time.sleep(2)  # until every agent speaks to its neighbours
    before = play.agents_fds()
    arguments = f"all_reduce -b 1K -e 256K -f 16 --channels 1 --seconds {seconds} --gap"
    long = Job(lab, "long", lab.fabric.nodes, arguments, 29500, log_dir)
    end = time.monotonic() + seconds
    time.sleep(2)
    play.sample()
    while time.monotonic() < end - 15 and long.running():
        play.play(draw(rng, lab.fabric))
        time.sleep(1)
    ended = long.wait(max(0, end - time.monotonic()) + HANG)
    document = long.document()
    if not ended or any(long.statuses().values()) or document is None or document["wrong"] > 0:
        said = [line for node in lab.fabric.nodes for line in long.said(node).splitlines()]
        first = next((line for line in said if "nccl-relay perf: rank" in line), "")
        play.bad.append(f"the long job: {'it hangs' if not ended else document or first}")
    else:
        print(f"the long job: {document['repetitions']} repetitions, {document['wrong']} wrong, "
              f"longest gap {document['longest_gap_s']:.2f} s")
    long.close()
    play.check_fds(before)
    play.report()
    faults = ", ".join(f"{name} {count}" for name, count in sorted(play.outcomes.items()))
    print(f"{play.rounds} rounds: {faults}")
    if play.gaps:
        print(f"gap of rounds that went on: median {statistics.median(play.gaps):.2f} s, maximum {max(play.gaps):.2f} s")
    return play.bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=str(ROOT / "build/release"), help="the build folder")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=6)
    parser.add_argument("--logs", help="keep logs here; what is kept of a round are the failed ones")
    args = parser.parse_args()
    build, rng = pathlib.Path(args.build).resolve(), random.Random(args.seed)
    log_dir = args.logs or tempfile.mkdtemp(prefix="soak-")
    pathlib.Path(log_dir).mkdir(parents=True, exist_ok=True)
    topology, fabric = survivable(build, args.nodes, rng)
    print(f"seed {args.seed}, {topology}, links {' '.join(map(str, fabric.links))}; logs in {log_dir}", flush=True)
    lab = StandingLab(build, topology, fabric, log_dir, {**KNOBS, "NCCL_NET_PLUGIN": build / "libnccl-net-relay.so"})
    try:
        bad = soak(args, lab, rng, log_dir)
    finally:
        lab.down()
    print("\n".join(bad) or "nothing wrong, nothing hung, nothing grew")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
