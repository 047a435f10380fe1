"""Runs scripts on the hosts of a fabric with real verbs, so that a test reads as those of the lab do.

    run = lab.run("chain:3", "A: ibv_rc_pingpong -d rxe_ab -g 1 10.77.0.2", "B: ibv_rc_pingpong -d rxe_ba -g 1")
    run.ok().says("A", "8192000 bytes in")

A script is bash's. It is given what a rank of `nccl-relay lab run` is given, and HOST, HOSTS and OUT: a folder that all hosts share,
and that comes back as run.out. Whatever else it writes is lost. $OUT/NAME is also how hosts wait for each other.
"""
import collections
import itertools
import json
import pathlib
import re
import shutil
from dataclasses import dataclass, field

from machine import GuestFailure, Machine, OrderFailed
from shape import Shape

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEADLINE = 240  # seconds in the guest: about five times what the longest run takes on an idle machine
GRACE = 25  # seconds that the others have when one host's script has failed
WIRING = 300
EVERY_HOST = "*"

Connection = collections.namedtuple("Connection", "host peer path transport")


@dataclass
class Run:
    """What one run left behind."""

    shape: Shape
    out: pathlib.Path
    statuses: dict
    expired: list
    faults: list
    late: list
    complaints: list
    counted: dict  # verbs device to what it counted meanwhile, by name
    seconds: float
    outputs: dict = field(default_factory=dict)

    @property
    def output(self):
        """Of all hosts, host by host; each line carries its host."""
        return "".join(f"{host}| {line}\n" for host, text in self.outputs.items() for line in text.splitlines())

    def text(self):
        parts = [f"{self.shape.text}: statuses {self.statuses}, still running {self.expired}, after {self.seconds:.1f} s",
                 *(f"fault {f['text']} came after {f['seconds']:.2f} s{': ' + f['error'] if f['error'] else ''}" for f in self.faults),
                 *(f"fault {text} did not come" for text in self.late), *(f"kernel: {line}" for line in self.complaints), self.output]
        parts += [f"--- {log.name}\n{log.read_text(errors='replace')[-6000:]}" for log in sorted(self.out.glob("agent-*.log"))]
        return "\n".join(parts)

    def sound(self):
        """The fabric did as it was told and the kernel did not complain, whatever became of the scripts."""
        assert not self.complaints and not self.late and not any(f["error"] for f in self.faults), self.text()
        return self

    def ok(self):
        assert not self.expired and not any(self.statuses.values()), self.text()
        return self.sound()

    def failed(self, *hosts):
        """These (or any) ended by themselves, with a status other than 0."""
        for host in hosts or [h for h, status in self.statuses.items() if status][:1] or [None]:
            assert self.statuses.get(host), self.text()
        return self.sound()

    def says(self, host, *words):
        """The line of this host's output that holds all these words."""
        for line in self.outputs[host].splitlines():
            if all(word in line for word in words):
                return line
        raise AssertionError(f"{host} has no line with {words} in\n{self.text()}")

    def document(self):
        """The first line of rank 0's output that is JSON."""
        return json.loads(self.says(next(iter(self.outputs)), '{"'))

    def connections(self):
        """What each rank said about the connections that it made: `connected to B: path A ab--ba B, tcp`."""
        pattern = re.compile(r"connected to (\w+): path (.*), (\w+)$", re.M)
        return [Connection(host, *found) for host, text in self.outputs.items() for found in pattern.findall(text)]

    def transports(self):
        return {connection.transport for connection in self.connections()}

    def counters(self, host):
        """Those of the host's agent after the scripts (run with status=True)."""
        return self.status(host)["counters"]

    def found_no_receive(self):
        """Packets that found no receive, of all devices in the machine."""
        return sum(value for counters in self.counted.values() for name, value in counters.items() if "rnr" in name)

    def sent_again(self):
        """How often a device went back to what was not acknowledged, all of them together."""
        return sum(counters["completer_retry_err"] for counters in self.counted.values())

    def status(self, host):
        text = (self.out / f"status-{host}.json").read_text()
        assert text.startswith("{"), f"the agent of {host} did not answer: {text}\n{self.text()}"
        return json.loads(text)


class Lab:
    """Keeps one virtual machine, and the fabric in it, for the next run; boots another when it has died."""

    def __init__(self, kernel, build, out, processors=2, env=None):
        self.kernel, self.build, self.out, self.processors, self.env = kernel, build, out, processors, env or {}
        self.machine = None
        self.wired = None
        self._boots, self._runs = itertools.count(1), itertools.count(1)

    @property
    def relay(self):
        return str(self.build / "nccl-relay")

    @property
    def rank(self):
        return str(self.build / "test/nccl/rank.sh")

    def run(self, topology, *commands, env=None, faults=(), agents=(), status=False, deadline=DEADLINE, grace=GRACE, silence=None):
        """`A: script` is for one host, `*: script` for all that have none of their own; a host may have none. `agents` are hosts
        where an agent is started first. `faults`: see faults.py. After `deadline` seconds of the guest's time all is ended."""
        shape = Shape(topology)
        scripts = self._scripts(shape, commands)
        try:
            machine = self._machine_with(shape)
            machine.silence = silence or machine.silence
            out = machine.out / str(next(self._runs))
            out.mkdir()
            # The machine may be a slow one: only then does its own time limit not hold.
            answer = machine.order(3 * deadline + 120, do="run", out=out.name, commands=scripts, env={**self.env, **(env or {})},
                                   agents=list(agents), agent=f"{self.relay} agent", faults=list(faults), cwd=str(ROOT),
                                   status=f"{self.relay} status --json" if status else None, deadline=deadline, grace=grace)
        except OrderFailed as failed:
            raise AssertionError(f"the guest could not run this: {failed}") from None
        except GuestFailure:
            self.close()
            raise
        outputs = {host: (out / f"{host}.out").read_text(errors="replace") for host in scripts}
        return Run(shape, out, outputs=outputs, **answer)

    def perf(self, arguments, topology, **kwargs):
        """`nccl-relay perf` on every host; rank 0's JSON document, and the run."""
        run = self.run(topology, f"*: exec {self.relay} perf {arguments} --json", **kwargs).ok()
        return run.document(), run

    def nccl(self, topology, *commands, **kwargs):
        """The real NCCL: each command is a nccl_perf command line; all run one after the other on every host."""
        return self.run(topology, "*: " + " && ".join(f"{self.rank} {command}" for command in commands), **kwargs)

    def close(self):
        machine, self.machine, self.wired = self.machine, None, None
        if machine:
            machine.close()

    @staticmethod
    def _scripts(shape, commands):
        scripts = {}
        for command in commands:
            host, colon, script = command.partition(": ")
            assert colon and (host in shape.hosts or host == EVERY_HOST) and host not in scripts, f"{shape.text}: whose is {command}?"
            scripts[host] = script
        everyones = scripts.pop(EVERY_HOST, None)
        return {host: scripts.get(host, everyones) for host in shape.hosts if host in scripts or everyones}

    def _machine_with(self, shape):
        if self.machine is None:
            out = self.out / f"boot-{next(self._boots)}"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir(parents=True)
            self.machine = Machine(self.kernel, out, self.processors)
        if self.wired != shape.text:
            try:
                self.machine.order(WIRING, do="wire", shape=shape.text)
            except OrderFailed:
                self.close()  # half a fabric is in it
                raise
            self.wired = shape.text
        return self.machine
