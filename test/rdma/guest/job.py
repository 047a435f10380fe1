"""One script per host, all at once, with faults at their time."""
import os
import pathlib
import shlex
import subprocess
import time

import faults
from fabric import Failed

POLL = 0.02
MASTER_PORT = 29500
TOOLS = pathlib.Path(__file__).resolve().parent / "bin"


def environment(shape, hosts, host, out, extra):
    """As `nccl-relay lab run` sets it for a rank."""
    return {
        "PATH": f"{TOOLS}:{os.environ['PATH']}", "HOME": "/root", "LANG": "C.UTF-8",
        "HOST": host, "HOSTS": " ".join(shape.hosts), "OUT": str(out),
        "RANK": str(hosts.index(host) if host in hosts else -1), "WORLD_SIZE": str(len(hosts)),
        "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1",
        "MASTER_ADDR": shape.control_address((hosts or shape.hosts)[0]), "MASTER_PORT": str(MASTER_PORT),
        "NCCL_HOSTID": host, "NCCL_SOCKET_IFNAME": "=ctl",
        "NCCL_RELAY_SOCKET": "@nccl-relay", "NCCL_RELAY_AGENT_LOG": str(out / f"agent-{host}.log"), **extra,
    }


class Job:
    """`order`: commands (host to shell script), env, agents (hosts), agent (command), faults, cwd, status (command or None),
    deadline and grace in seconds."""

    def __init__(self, fabric, order, out):
        self.fabric, self.order, self.out = fabric, order, pathlib.Path(out)
        self.hosts = [host for host in fabric.shape.hosts if host in order["commands"]]
        self.faults = [faults.parse(text, fabric.shape) for text in order["faults"]]
        self.happened = []
        self.running, self.statuses = {}, {}
        self._sent = {}  # by the ports that faults wait for, before this job

    def run(self):
        before = self.fabric.counters()
        start = time.monotonic()
        self._sent = {fault.port: self.fabric.packets(fault.port) for fault in self.faults if fault.port}
        agents = [self._start(host, f"exec {self.order['agent']}", f"agent-{host}.log") for host in self.order["agents"]]
        for host in self.hosts:
            self.running[host] = self._start(host, self.order["commands"][host], f"{host}.out")
        deadline, expired = start + self.order["deadline"], []
        while self.running:
            now = time.monotonic()
            self._apply_faults(now - start)
            if self._collect():
                deadline = min(deadline, now + self.order["grace"])
            if self.running and now > deadline:
                expired = sorted(self.running)
                self._explain_hang()
                break
            time.sleep(POLL)
        seconds = time.monotonic() - start
        counted = {device: {name: value - before[device][name] for name, value in counters.items()}
                   for device, counters in self.fabric.counters().items()}
        if not expired:
            self._ask_agents()
        self._end(agents)
        late = [fault.text for fault in self.faults]
        return {"statuses": self.statuses, "expired": expired, "faults": self.happened, "late": late, "seconds": seconds,
                "counted": counted}

    def _start(self, host, script, log):
        shape = self.fabric.shape
        with open(self.out / log, "ab") as output:
            return subprocess.Popen(
                [*self.fabric.enter(host), "bash", "-c", f"cd {shlex.quote(self.order['cwd'])} || exit 125\n{script}"],
                env=environment(shape, self.hosts, host, self.out, self.order["env"]), stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT)

    def _collect(self):
        """Whether a host has failed by now."""
        for host, process in list(self.running.items()):
            status = process.poll()
            if status is not None:
                self.statuses[host] = status if status >= 0 else 128 - status
                del self.running[host]
        return any(self.statuses.values())

    def _apply_faults(self, elapsed):
        for fault in list(self.faults):
            if not self._due(fault, elapsed):
                continue
            self.faults.remove(fault)
            error = None
            try:
                self._apply(fault)
            except Failed as failed:
                error = str(failed)
            self.happened.append({"text": fault.text, "seconds": elapsed, "error": error})
            (self.out / fault.mark).touch()

    def _due(self, fault, elapsed):
        if fault.port:
            return self.fabric.packets(fault.port) - self._sent[fault.port] >= fault.packets
        return (self.out / fault.file).exists() if fault.file else elapsed >= fault.seconds

    def _apply(self, fault):
        fabric = self.fabric
        if fault.kind == "cut":
            fabric.cut(*fault.hosts)
        elif fault.kind == "heal":
            fabric.heal(*fault.hosts)
        elif fault.kind == "loss":
            fabric.lose(*fault.hosts, fault.value)
        elif fault.kind == "kill-agent":
            fabric.kill_agents(*fault.hosts)
        elif fault.kind == "kill-ranks":
            fabric.kill_ranks(*fault.hosts)
        else:
            fabric.kill_all(*fault.hosts)

    def _explain_hang(self):
        text = subprocess.run(["ps", "-eLo", "pid,ppid,stat,wchan:24,etime,args"], stdout=subprocess.PIPE, text=True).stdout
        (self.out / "processes").write_text(text)

    def _ask_agents(self):
        """Each agent's status while it still lives: its counters tell which way the bytes went."""
        if not self.order["status"]:
            return
        asked = {}
        for host in self.fabric.shape.hosts:
            asked[host] = self._start(host, f"exec {self.order['status']}", f"status-{host}.json")
        for process in asked.values():
            try:
                process.wait(timeout=self.order["grace"])
            except subprocess.TimeoutExpired:
                process.kill()

    def _end(self, agents):
        """Nothing of this job is left for the next one, be it a process or a fault."""
        self.fabric.kill_all(*self.fabric.shape.hosts)
        for process in [*agents, *self.running.values()]:
            process.wait()
        self.fabric.heal_all()
