"""One cell of the matrix: a lab run with the fault in the middle of the workload, and what is made of its lines."""
import json
import os
import pathlib
import re
import subprocess
import threading
import time
from dataclasses import dataclass, field

import matrix

BUSY = 3  # seconds that other work on the machine may cost between what happens and what is seen
REMOVAL = 10  # seconds that the kernel may take to remove a lab's namespaces, which is part of its run
SIZES = "-b 16K -e 1M -f 8"
SMALL = "-b 256 -e 8K -f 32"  # what connecting is the larger part of
PATIENCE = 2  # in which the plugin may tell a rank what another rank says is wrong
HANG = 60
SAID = 0.05
MIB = 1 << 20
UNTOLD = "no rank heard of it from the plugin"
OWN_ERROR = re.compile(r"(isend|irecv|test|connect|accept|listen)\(\).* failed with nccl")
PHASE = re.compile(r"^(\w+)\| nccl-relay perf: rank \d+: (init|connect|connected|traffic|close|closed)$")
FAILED = re.compile(r"^(\w+)\| nccl-relay perf: rank \d+: (failed: .*|.* s after its start)$")


@dataclass
class Run:
    """Lines with the seconds at which they were read."""

    status: int
    seconds: float
    lines: list
    counters: dict
    logs: dict

    def text(self):
        said = "\n".join(f"{t:8.3f} {line}" for t, line in self.lines)
        logs = "\n".join(f"--- agent {node}\n{log}" for node, log in self.logs.items())
        return f"{said}\nexit {self.status} after {self.seconds:.1f} s\n{logs}\n"

    def when(self, text):
        return next((t for t, line in self.lines if line.startswith(text)), None)

    def phases(self, node):
        return [(t, m[2]) for t, line in self.lines if (m := PHASE.match(line)) and m[1] == node]

    def phase_at(self, node, moment):
        return next((phase for t, phase in reversed(self.phases(node)) if t <= moment), None)

    def was_in(self, phases, node, moment):
        """At the moment, or as long before as the lab may take to do and to say something."""
        while_said = [phase for t, phase in self.phases(node) if moment - SAID < t <= moment]
        return any(phase in phases for phase in [self.phase_at(node, moment - SAID), *while_said])

    def document(self):
        return next((json.loads(line[3:]) for _, line in self.lines if line.startswith("A| {")), None)


def lab_run(build, log_dir, topology, options, command, env):
    """Runs it to its end; nothing of it is left then, whatever happened."""
    counters = pathlib.Path(log_dir) / "counters.json"
    args = [str(build / "nccl-relay"), "lab", "run", topology, "--log-dir", str(log_dir), "--counters-json", str(counters)]
    args += options
    args += [a for name, value in env.items() for a in ("--env", f"{name}={value}")]
    start = time.monotonic()
    lines = []
    process = subprocess.Popen([*args, "--", "sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               stdin=subprocess.DEVNULL, text=True, errors="replace")

    def read():
        for line in process.stdout:
            lines.append((time.monotonic() - start, line.rstrip("\n")))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        process.wait(HANG + 30)
    finally:
        process.kill()
        reader.join()
    measured = json.loads(counters.read_text() or "{}") if counters.exists() else {}
    logs = {p.stem.removeprefix("agent-"): p.read_text(errors="replace")
            for p in sorted(pathlib.Path(log_dir).glob("agent-*.log"))}
    return Run(process.returncode, time.monotonic() - start, lines, measured, logs)


@dataclass
class Cell:
    workload: str
    fault: str
    topology: str
    verdict: str = ""  # empty: as expected
    note: str = ""     # what the matrix shows
    log: str = ""
    attempts: int = field(default=0)

    @property
    def expected(self):
        return matrix.EXPECTED[self.workload, self.fault, self.topology]

    @property
    def name(self):
        return f"{self.topology} {self.fault} {self.workload}"

    @property
    def ranks(self):
        """The nodes with ranks."""
        return [n for n in matrix.NODES[self.topology] if self.fault not in matrix.RELAYED or n != matrix.RELAY]

    @property
    def survivors(self):
        return [n for n in self.ranks if self.fault != "peer-kill" or n != matrix.PEER]

    # The command ---------------------------------------------------------------------------------------------------

    def command(self, build, at):
        # What must end with an error has the time for it.
        after = matrix.lasts(self.fault) + (1.5 if self.expected == "on" else 30)
        arguments = {
            "idle": f"all_reduce --seconds 2 --hold {at + 1:.2f}",
            "init": f"alltoall --fresh --seconds {at + after:.0f}",
            "close": f"all_reduce --seconds 1 --hold-close $([ $NCCL_HOSTID = {matrix.PEER} ] && echo {at + 1:.2f} || echo 0)",
        }.get(self.workload, f"{self.workload} --seconds {at + after:.0f}")
        late = f"$([ $RANK != 1 ] || echo --late {matrix.LATE})" if self.fault == "late" else ""
        if late:
            arguments = re.sub(r"--seconds \d+", "--seconds 1", arguments)
        sizes = SMALL if self.workload == "init" else SIZES
        return (f"exec {build}/nccl-relay perf {arguments} {late} {sizes} --channels 1 --gap --phases --json "
                f"--patience {PATIENCE} --timeout 30")

    def attempt(self, build, log_dir, at):
        # When the ranks of `close` have had their second of traffic, and all but one have closed.
        at += 1 if self.workload == "close" else 0
        env = {"NCCL_RELAY_" + name + "_TIMEOUT" if name != "LINGER" else "NCCL_RELAY_LINGER": seconds
               for name, seconds in matrix.knobs(self.fault).items()}
        quiet = self.workload == "init" and self.fault not in matrix.RELAYED  # thousands of connections
        env |= {"NCCL_NET_PLUGIN": build / "libnccl-net-relay.so", "NCCL_DEBUG": "WARN" if quiet else "INFO"}
        faults = [word for option in matrix.options(self.fault, at) for word in option.split()]
        options = ["--timeout", str(HANG), "--grace", str(HANG), "--ranks", ",".join(self.ranks), *faults]
        # In the ring the relay has an equal, and which of them is nearer is a matter of microseconds unless it is declared.
        declared = self.topology == "ring:4" and self.fault in matrix.RELAYED
        options += ["--rate", "A-D=5gbit", "--rate", "C-D=5gbit"] if declared else ["--discover"]
        return lab_run(build, log_dir, self.topology, options, self.command(build, at), env)

    # What came of it -----------------------------------------------------------------------------------------------

    def came(self, run):
        """When the fault came, or None if not in the middle of the workload."""
        if self.fault == "late":
            document = run.document()  # that it was late shows in the gap
            return 0 if document is None or document["longest_gap_s"] > 0.9 * matrix.LATE else None
        moment = run.when("lab: " + matrix.options(self.fault, 0)[0].split("@")[0].removeprefix("--"))
        if moment is None:
            return None
        phases = [run.phase_at(node, moment) for node in self.ranks]
        in_time = {
            "idle": all(p == "connected" for p in phases),
            "init": None not in phases and any(run.was_in(("init", "connect"), node, moment) for node in self.ranks),
            "close": all((p == "traffic") == (n == matrix.PEER) for n, p in zip(self.ranks, phases)),
        }.get(self.workload, all(p == "traffic" for p in phases))
        return moment if in_time else None

    def through_the_relay(self, run):
        """Some connection's path leads through the relay before the fault."""
        return any(re.search(rf"path \w+ .* {matrix.RELAY} .* \w+", line) for _, line in run.lines)

    def judge(self, run, moment):
        if run.status == 124 or any("still running" in line for _, line in run.lines):
            return "it hangs"
        if self.fault in matrix.RELAYED and not self.through_the_relay(run):
            return "no connection leads through the relay"
        for node, interfaces in run.counters.items():
            # Handles of communicators without end go there too.
            if interfaces["ctl"]["tx_bytes"] > MIB and self.workload != "init":
                return f"{node} sent data over the control network"
        return self.judge_on(run) if self.expected == "on" else self.judge_error(run, moment)

    def judge_on(self, run):
        document = run.document()
        if run.status != 0 or document is None:
            first = next((line for _, line in run.lines if FAILED.match(line)), "no result")
            return f"it did not go on: {first}"
        self.note = f"on {document['longest_gap_s']:.2f}"
        if document["wrong"] > 0 or document["repetitions"] == 0:
            return f"{document['wrong']} wrong elements in {document['repetitions']} repetitions"
        return ""

    def judge_error(self, run, moment):
        if run.status == 0:
            return "it went on"
        errors = {m[1]: (t, m[2]) for t, line in reversed(run.lines) if (m := FAILED.match(line))}
        missing = [n for n in self.survivors if n not in errors]
        if missing:
            return f"no error on {' '.join(missing)}"
        begins = moment
        if self.workload == "idle" and self.expected == "error":
            begins = max(t for node in self.survivors for t, phase in run.phases(node) if phase == "traffic")
        last, text = max(errors.values())
        longest = last - begins
        self.note = f"{self.expected} {longest:.1f}"
        within = matrix.deadline(self.workload, self.fault, self.expected) + BUSY
        if not text.startswith("failed: "):  # another rank told of it, after it had closed its connections
            within += matrix.knobs(self.fault)["LINGER"]
        if longest > within:
            return f"the last error came after {longest:.1f} s, and {within} s were allowed"
        running = self.workload in ("all_reduce", "alltoall", "sendrecv")
        if (running or self.expected == "error") and not any(OWN_ERROR.search(text) for _, text in errors.values()):
            return UNTOLD
        deaf = [n for n, (_, text) in errors.items() if text.startswith("failed: ") and not OWN_ERROR.search(text)]
        if running and self.expected == "once" and deaf:
            return f"with requests under way, {' '.join(deaf)} heard of it from another rank alone"
        if run.document() is not None and self.workload != "close":
            return "a result beside an error"
        ended = run.seconds - max(t for t, _ in errors.values())
        if ended > matrix.knobs(self.fault)["LINGER"] + BUSY + REMOVAL:
            return f"it took {ended:.1f} s to end after the last error"
        return ""

    def play(self, build, folder):
        """Repeated, later each time, until the fault comes in the middle of the workload."""
        for at in (2, 2.43, 3.19, 4.21, 5.77, 7.05, 9.33):
            self.attempts += 1
            log_dir = folder / f"{self.name.replace(' ', '_').replace(':', '')}-{self.attempts}"
            os.makedirs(log_dir, exist_ok=True)
            run = self.attempt(build, log_dir, at)
            self.log = str(log_dir / "run.txt")
            moment = self.came(run)
            self.verdict = self.judge(run, moment) if moment is not None else "the fault never came in the middle of it"
            outcome = self.verdict or "so it was"
            (log_dir / "run.txt").write_text(f"{self.name}: expected {self.expected}: {outcome}\n{run.text()}")
            # A peer that dies while nothing is asked of it is missed by the ranks themselves first.
            if moment is not None and (self.verdict, self.fault) != (UNTOLD, "peer-kill"):
                break
        self.note = "FAIL" if self.verdict else self.note
        return self
