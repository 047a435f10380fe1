"""A lab that stays (`nccl-relay lab up`), what runs in it, and what can be broken in it again and again."""
import itertools
import json
import os
import pathlib
import signal
import subprocess
import time
from dataclasses import dataclass

AGENT, RANK = "nccl-relay", "nccl-relay perf"  # as /proc/PID/comm shows them
READY = 10


@dataclass(frozen=True)
class Link:
    ends: tuple  # ((node, interface), (node, interface))

    def __str__(self):
        return "-".join(node for node, _ in self.ends)


def connected(nodes, links):
    seen, fresh = set(), {next(iter(nodes))}
    while fresh:
        seen |= fresh
        pairs = [{node for node, _ in link.ends} for link in links]
        fresh = {n for pair in pairs if pair & fresh and pair <= set(nodes) for n in pair} - seen
    return seen == set(nodes)


class Fabric:
    def __init__(self, text):
        declared = json.loads(text)
        self.nodes = [node["name"] for node in declared["nodes"]]
        self.links = [Link(tuple(tuple(end.split("/")) for end in link["ends"])) for link in declared["links"]]

    def survives_any_one(self):
        """Whatever single link or node is lost, the others still reach each other."""
        return (all(connected(self.nodes, [other for other in self.links if other != link]) for link in self.links) and
                all(connected([n for n in self.nodes if n != lost], self.links) for lost in self.nodes))


def survivable(build, nodes, random):
    """(topology, fabric): a random one that does."""
    for _ in itertools.count():
        topology = f"random:{nodes}:{nodes + random.randint(2, nodes)}:{random.randint(1, 1 << 30)}"
        done = subprocess.run([f"{build}/nccl-relay", "lab", "fabric", topology], capture_output=True, text=True, check=True)
        fabric = Fabric(done.stdout)
        if fabric.survives_any_one():
            return topology, fabric


def read(path):
    try:
        return pathlib.Path(path).read_bytes().decode(errors="replace")
    except OSError:
        return ""


@dataclass(frozen=True)
class Use:
    """What a process holds."""

    rss_kib: int
    fds: int
    threads: int

    @staticmethod
    def of(pid):
        status = dict(line.split(":\t", 1) for line in read(f"/proc/{pid}/status").splitlines() if ":\t" in line)
        try:
            return Use(int(status["VmRSS"].split()[0]), len(os.listdir(f"/proc/{pid}/fd")), int(status["Threads"]))
        except (KeyError, OSError):
            return None


class StandingLab:
    def __init__(self, build, topology, fabric, log_dir, env):
        self.build, self.fabric, self.log_dir = build, fabric, pathlib.Path(log_dir)
        self.name = f"soak-{os.getpid()}"
        self.agents = []  # processes that start agents
        options = [a for name, value in env.items() for a in ("--env", f"{name}={value}")]
        subprocess.run([f"{build}/nccl-relay", "lab", "up", topology, "--discover", "--name", self.name, "--log-dir", log_dir,
                        *options], check=True, stdout=subprocess.DEVNULL, timeout=120)
        self.spaces = {node: self.say(node, "readlink /proc/self/ns/net").strip() for node in fabric.nodes}

    def down(self):
        subprocess.run([f"{self.build}/nccl-relay", "lab", "down", "--name", self.name], check=False, timeout=60)
        for agent in self.agents:
            agent.wait(READY)

    def args(self, node, *command):
        return [f"{self.build}/nccl-relay", "lab", "exec", node, "--name", self.name, "--", *command]

    def say(self, node, script):
        args = self.args(node, "sh", "-c", script)
        return subprocess.run(args, check=True, stdout=subprocess.PIPE, text=True, timeout=30).stdout

    def processes(self, node, comm, mark=""):
        """Those of a node with this name and this in their environment."""
        return [int(p.name) for p in pathlib.Path("/proc").glob("[0-9]*")
                if read(p / "comm") == comm + "\n" and self.lives_in(p, node) and mark in read(p / "environ")]

    def lives_in(self, process, node):
        try:
            return os.readlink(process / "ns/net") == self.spaces[node]
        except OSError:
            return False

    # What breaks, and heals ------------------------------------------------------------------------------------------

    def link(self, link, script):
        """At each end; `$dev` is its interface, `$mark` a word that is its own."""
        for node, interface in link.ends:
            self.say(node, f"dev={interface}; mark=soak_{interface}; {script}")

    def cut(self, link):
        self.link(link, "ip link set dev $dev down")

    def drop(self, link):
        self.link(link, "tc qdisc replace dev $dev root blackhole")

    def slow(self, link):
        self.link(link, "tc qdisc replace dev $dev root tbf rate 100mbit burst 262144 limit 2762144")

    def lose(self, link):
        self.link(link, "nft \"table netdev $mark { chain arriving { type filter hook ingress device \\\"$dev\\\" priority 0; "
                        "policy accept; numgen random mod 1000 < 10 drop; }; }\"")

    def shrink(self, link):
        self.link(link, "ip link set dev $dev mtu 1280")

    def heal(self, link):
        self.link(link, "nft delete table netdev $mark 2>/dev/null; tc qdisc replace dev $dev root noqueue; "
                        "ip link set dev $dev mtu 1500; ip link set dev $dev up")

    def signal(self, number, node, comm=AGENT, mark=""):
        for pid in self.processes(node, comm, mark):
            os.kill(pid, number)

    def restart_agent(self, node):
        self.signal(signal.SIGKILL, node)
        deadline = time.monotonic() + READY
        while self.processes(node, AGENT) and time.monotonic() < deadline:
            time.sleep(0.02)
        log = (self.log_dir / f"agent-{node}.log").open("a", encoding="utf-8")
        self.agents.append(subprocess.Popen(self.args(node, f"{self.build}/nccl-relay", "agent"), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log))
