"""The relay's processor time per byte against a bare splice loop: one rank of `nccl-relay lab run chain:3`.

A sends, C receives, B relays; rounds through bench_splice and through an agent take turns. A and C run the same program
(bench_load) on the same kind of socket either way, so B moves the same frames in both. What B's process used is what
the kernel says when it has ended.
"""
import json
import os
import signal
import subprocess
import sys
import time

MESSAGE = 1 << 20
A_TO_B, B_TO_C = "10.77.0.2", "10.77.0.6"  # B's and C's addresses on the two cables of chain:3
NEAR = "ba"


def say(record):
    print("BENCH " + json.dumps(record), flush=True)


def received_bytes():
    with open(f"/sys/class/net/{NEAR}/statistics/rx_bytes", encoding="ascii") as f:
        return int(f.read())


def urgently():
    """As the agent runs itself, where it may."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    except PermissionError:
        pass


def used_by(process):
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


class Relay:
    def __init__(self, build, size, port):
        self.build, self.size, self.port = build, size, port

    def splice(self):
        args = [f"{self.build}/test/bench/bench_splice", str(self.port), B_TO_C, str(self.port)]
        process = subprocess.Popen(args, stdout=subprocess.PIPE, preexec_fn=urgently)
        told = json.load(process.stdout)
        return {"cpu": used_by(process), **told}

    def agent(self):
        before = received_bytes()
        process = subprocess.Popen([f"{self.build}/nccl-relay", "agent"])
        # The agent is not asked anything while it works.
        while received_bytes() - before < self.size:
            time.sleep(0.1)
        status = self.status()
        while status["relayed"] != 0:
            time.sleep(0.05)
            status = self.status()
        process.send_signal(signal.SIGTERM)
        counters = status["counters"]
        return {"cpu": used_by(process),
                **{name: counters[name] for name in ("relayed_bytes", "splice_calls", "relay_copied_bytes")}}

    def status(self):
        done = subprocess.run([f"{self.build}/test/bench/bench_load", "status"], stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)


def load(build, size, *where):
    role = "send" if os.environ["RANK"] == "0" else "receive"
    args = [f"{build}/test/bench/bench_load", role, str(size), str(MESSAGE), *where]
    return json.loads(subprocess.run(args, stdout=subprocess.PIPE, check=True).stdout)


def main():
    build, size, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rank = int(os.environ["RANK"])
    for turn in range(2 * rounds):
        means = ("splice", "agent")[turn % 2]
        port = 5000 + turn
        if rank == 1:
            result = getattr(Relay(build, size, port), means)()
        elif means == "agent":
            result = load(build, size, *(("agent", "C") if rank == 0 else ("agent",)))
        else:
            result = load(build, size, *((A_TO_B, str(port)) if rank == 0 else (str(port),)))
        say({"turn": turn, "means": means, "rank": rank, **result})


if __name__ == "__main__":
    main()
