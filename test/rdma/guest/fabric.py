"""A shape as it is wired in the guest: a set of namespaces per host, veth pairs as cables, a soft-RoCE device at every end, and a
bridge that joins all hosts as their control network and has no verbs device."""
import os
import pathlib
import signal
import subprocess
import time

from shape import CONTROL

HERE = pathlib.Path(__file__).resolve().parent
MTU = 4200  # the least that lets RDMA use packets of 4096 bytes
DEVICES = pathlib.Path("/sys/class/infiniband")
UVERBS = pathlib.Path("/sys/class/infiniband_verbs")
# What an emulated machine on a busy one may take for a thing of milliseconds.
PATIENCE = 60


class Failed(Exception):
    pass


def command(*arguments, text=None):
    done = subprocess.run(arguments, input=text, stdin=None if text is not None else subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, arguments))}: status {done.returncode}: {done.stdout.strip()}")
    return done.stdout


def wait_until(what, condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"not within {PATIENCE} s: {what}")
        time.sleep(0.02)


class Fabric:
    def __init__(self, shape):
        self.shape = shape
        self.touched = set()  # cables that a fault has come to
        self._holders = {}
        self._pids = {}
        self._bridge(create=True)
        for host in shape.hosts:
            self._holders[host] = subprocess.Popen(
                ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "bash", HERE / "host.sh", host],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for host, holder in self._holders.items():
            line = holder.stdout.readline()
            if not line:
                raise Failed(f"host {host} ended as it began: status {holder.wait()}")
            self._pids[host] = int(line)
        self._wire()
        self._add_devices()

    def close(self):
        for host in self.shape.hosts:
            self.kill_all(host)
        for device in sorted(os.listdir(DEVICES)):
            command("rdma", "link", "delete", device)
        for holder in self._holders.values():
            holder.kill()
            holder.communicate()
        self._bridge(create=False)
        wait_until("the hosts' interfaces are gone", lambda: not [n for n in os.listdir("/sys/class/net") if n != "lo"])

    def enter(self, host):
        """The beginning of a command line that runs in this host. Root and folder are named, because those of its mount namespace
        are the initramfs."""
        return ["nsenter", f"--target={self._pids[host]}", "--root", "--wd", "--net", "--uts", "--mount", "--pid", "--"]

    def processes(self, host):
        """Process id to arguments, of all processes of a host but its first."""
        namespace = os.readlink(f"/proc/{self._pids[host]}/ns/pid")
        found = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == self._pids[host]:
                continue
            try:
                if os.readlink(f"/proc/{entry}/ns/pid") == namespace:
                    arguments = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().decode(errors="replace").split("\0")
                    found[int(entry)] = arguments[:-1]
            except OSError:
                continue  # it has ended since
        return found

    def kill_all(self, host):
        def none_left():
            left = self.processes(host)
            for pid in left:
                self._kill(pid)
            return not left

        wait_until(f"every process of {host} has ended", none_left)

    def kill_agents(self, host):
        """An agent is `nccl-relay agent ...`, or the plugin's own file run with the same word."""
        agents = [pid for pid, arguments in self.processes(host).items()
                  if "agent" in arguments[1:3] and any("relay" in argument for argument in arguments[:2])]
        if not agents:
            raise Failed(f"no agent runs in {host}")
        for pid in agents:
            self._kill(pid)

    def cut(self, one, other):
        for cable in self.shape.cables_between(one, other):
            self.touched.add(cable)
            port = cable.near if cable.near.host == other else cable.far
            command(*self._network(port.host), "ip", "link", "set", "dev", port.interface, "down")

    def lose(self, one, other, part):
        for cable in self.shape.cables_between(one, other):
            self.touched.add(cable)
            for port in cable.ports:
                tc = [*self._network(port.host), "tc"]
                if part == "100%":
                    # Where packets arrive: while a queue is exchanged, senders on soft-RoCE get errors that no cable gives.
                    command(*tc, "filter", "add", "dev", port.interface, "ingress", "matchall", "action", "drop")
                else:
                    command(*tc, "qdisc", "replace", "dev", port.interface, "root", "netem", "loss", part, "limit", "100000")

    def heal(self, one, other):
        for cable in self.shape.cables_between(one, other):
            self._heal(cable)

    def heal_all(self):
        for cable in list(self.touched):
            self._heal(cable)

    @staticmethod
    def _kill(pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def _heal(self, cable):
        for port in cable.ports:
            network = self._network(port.host)
            if "netem" in command(*network, "tc", "qdisc", "show", "dev", port.interface):
                command(*network, "tc", "qdisc", "delete", "dev", port.interface, "root")
            command(*network, "tc", "filter", "delete", "dev", port.interface, "ingress")
            command(*network, "ip", "link", "set", "dev", port.interface, "up")
        self.touched.discard(cable)
        self._await_active(cable.ports)

    def _network(self, host):
        return ["nsenter", f"--target={self._pids[host]}", "--net", "--"]

    @staticmethod
    def _bridge(create):
        if create:
            command("ip", "-batch", "-", text=f"link set dev lo up\nlink add name control type bridge\nlink set dev control up\n"
                                              f"address add {CONTROL}.254/24 dev control\n")
        else:
            command("ip", "link", "delete", "dev", "control")

    def _wire(self):
        """The control network holds the default route, as a management LAN does: no agent takes it for a cable."""
        pairs = ""
        for number, host in enumerate(self.shape.hosts):
            pairs += f"link add name hub{number} type veth peer name ctl netns {self._pids[host]}\n"
            pairs += f"link set dev hub{number} master control up\n"
        for cable in self.shape.cables:
            near, far = cable.ports
            pairs += (f"link add name {near.interface} mtu {MTU} netns {self._pids[near.host]} type veth "
                      f"peer name {far.interface} mtu {MTU} netns {self._pids[far.host]}\n")
        command("ip", "-batch", "-", text=pairs)
        for host in self.shape.hosts:
            batch = f"link set dev lo up\naddress add {self.shape.control_address(host)}/24 dev ctl\nlink set dev ctl up\n"
            batch += f"route add default via {CONTROL}.254\n"
            for port in self.shape.ports(host):
                batch += (f"address add {port.address}/{self.shape.PREFIX_LENGTH} dev {port.interface}\n"
                          f"link set dev {port.interface} up\n")
            command(*self._network(host), "ip", "-batch", "-", text=batch)

    def _add_devices(self):
        for cable in self.shape.cables:
            for port in cable.ports:
                command(*self._network(port.host), "tc", "qdisc", "add", "dev", port.interface, "ingress")
                command(*self._network(port.host), "rdma", "link", "add", port.device, "type", "rxe", "netdev", port.interface)
        self._await_active([port for cable in self.shape.cables for port in cable.ports])
        # The kernel shows every device in every namespace; what has no node in /dev/infiniband is not there for libibverbs.
        nodes = {(entry / "ibdev").read_text().strip(): (entry.name, (entry / "dev").read_text().strip().replace(":", " "))
                 for entry in UVERBS.glob("uverbs*")}
        manager = [line.split()[0] for line in open("/proc/misc", encoding="ascii") if line.split()[1] == "rdma_cm"]
        for host in self.shape.hosts:
            script = "".join(f"mknod -m 666 /dev/infiniband/rdma_cm c 10 {number}\n" for number in manager)
            for port in self.shape.ports(host):
                name, numbers = nodes[port.device]
                script += f"mknod -m 666 /dev/infiniband/{name} c {numbers}\n"
            command(*self.enter(host), "sh", "-ec", script)

    def _await_active(self, ports):
        for port in ports:
            state = DEVICES / port.device / "ports/1/state"
            wait_until(f"{port.device} is active", lambda state=state: "ACTIVE" in state.read_text())
