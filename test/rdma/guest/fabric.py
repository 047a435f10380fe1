"""A shape as it is wired in the guest: a set of namespaces per host, veth pairs as cables, a soft-RoCE device at every end, and a
bridge that joins all hosts as their control network and has no verbs device."""
import json
import os
import pathlib
import signal
import stat
import subprocess
import time

from shape import CONTROL

HERE = pathlib.Path(__file__).resolve().parent
MTU = 4200  # the least that lets RDMA use packets of 4096 bytes
DEVICES = pathlib.Path("/sys/class/infiniband")
UVERBS = pathlib.Path("/sys/class/infiniband_verbs")
# What an emulated machine on a busy one may take for a thing of milliseconds.
PATIENCE = 60
MISC = 10  # the major number of the kernel's miscellaneous devices
# One process enters a host for all that its ports need.
BATCHES = """ip -batch - <<END
$1
END
[ -z "$2" ] || tc -batch - <<END
$2
END
[ -z "$3" ] || rdma --batch - <<END
$3
END
"""


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


def device_nodes():
    """Verbs device to what sysfs says of its node in /dev/infiniband."""
    return {(entry / "ibdev").read_text().strip(): entry for entry in UVERBS.glob("uverbs*")}


def make_device(path, major, minor):
    if not path.exists():
        os.mknod(path, stat.S_IFCHR, os.makedev(major, minor))
        os.chmod(path, 0o666)


def is_agent(arguments):
    """`nccl-relay agent ...`, or the plugin's own file run with the same word."""
    return "agent" in arguments[1:3] and any("relay" in argument for argument in arguments[:2])


class Fabric:
    """Of the shape wired last. What two shapes have in common stays from one to the next, because in an emulated machine every
    command counts."""

    def __init__(self):
        self.shape = None
        self.touched = set()  # cables that a fault has come to
        self._cables = []
        self._holders = {}
        self._pids = {}
        command("ip", "-batch", "-", text=f"link set dev lo up\nlink add name control type bridge\nlink set dev control up\n"
                                          f"address add {CONTROL}.254/24 dev control\n")

    def become(self, shape):
        self._unplug([cable for cable in self._cables if cable not in shape.cables])
        self._end_hosts([host for host in self._holders if host not in shape.hosts])
        hosts = [host for host in shape.hosts if host not in self._holders]
        cables = [cable for cable in shape.cables if cable not in self._cables]
        self._begin_hosts(hosts)
        self._wire(shape, hosts, cables)
        self.shape, self._cables = shape, list(shape.cables)
        self._add_devices([port for cable in cables for port in cable.ports])

    def enter(self, host):
        """The beginning of a command line that runs in this host. Root and folder are named, because those of its mount namespace
        are the initramfs."""
        return ["nsenter", f"--target={self._pids[host]}", "--root", "--wd", "--net", "--uts", "--mount", "--pid", "--"]

    def processes(self, *hosts):
        """Process id to arguments, of all processes of these hosts but the first of each."""
        first = {self._pids[host] for host in hosts}
        namespaces = {os.readlink(f"/proc/{pid}/ns/pid") for pid in first}
        found = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) in first:
                continue
            try:
                if os.readlink(f"/proc/{entry}/ns/pid") in namespaces:
                    arguments = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().decode(errors="replace").split("\0")
                    found[int(entry)] = arguments[:-1]
            except OSError:
                continue  # it has ended since
        return found

    @staticmethod
    def counters():
        """Verbs device to what it has counted, by name."""
        return {port["ifname"]: {name: value for name, value in port.items() if name not in ("ifname", "port")}
                for port in json.loads(command("rdma", "--json", "statistic", "show", "link"))}

    def packets(self, interface):
        """How many this port has sent."""
        port = next(port for cable in self._cables for port in cable.ports if port.interface == interface)
        return int((self._root(port.host) / "sys/class/net" / interface / "statistics/tx_packets").read_text())

    def kill_all(self, *hosts):
        def none_left():
            left = self.processes(*hosts)
            for pid in left:
                self._kill(pid)
            return not left

        wait_until(f"every process of {', '.join(hosts)} has ended", none_left)

    def kill_agents(self, host):
        agents = [pid for pid, arguments in self.processes(host).items() if is_agent(arguments)]
        if not agents:
            raise Failed(f"no agent runs in {host}")
        for pid in agents:
            self._kill(pid)

    def kill_ranks(self, host):
        for pid, arguments in self.processes(host).items():
            if not is_agent(arguments):
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
                # Where packets arrive: a sender on soft-RoCE that sees its own interface drop what it sends may stop for good.
                action = "drop" if part == "100%" else f"ok random netrand drop {round(100 / float(part[:-1]))}"
                command(*self._network(port.host), "tc", "filter", "add", "dev", port.interface, "ingress", "matchall", "action",
                        *action.split())

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
            script = f"tc filter delete dev {port.interface} ingress\nip link set dev {port.interface} up\n"
            command(*self._network(port.host), "sh", "-ec", script)
        self.touched.discard(cable)
        self._await_active(cable.ports)

    def _network(self, host):
        return ["nsenter", f"--target={self._pids[host]}", "--net", "--"]

    def _root(self, host):
        """The host's files, its own mounts among them."""
        return pathlib.Path(f"/proc/{self._pids[host]}/root")

    def _begin_hosts(self, hosts):
        for host in hosts:
            self._holders[host] = subprocess.Popen(
                ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "bash", HERE / "host.sh", host],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for host in hosts:
            line = self._holders[host].stdout.readline()
            if not line:
                raise Failed(f"host {host} ended as it began: status {self._holders[host].wait()}")
            self._pids[host] = int(line)

    def _end_hosts(self, hosts):
        if not hosts:
            return
        self.kill_all(*hosts)
        command("ip", "-batch", "-", text="".join(f"link delete dev hub{host}\n" for host in hosts))
        for host in hosts:
            holder = self._holders.pop(host)
            holder.kill()
            holder.communicate()
            del self._pids[host]

    def _unplug(self, cables):
        """One after the other, so that none of their names is left when the next ones come."""
        if not cables:
            return
        nodes = device_nodes()
        command("rdma", "--batch", "-", text="".join(f"link delete {port.device}\n" for cable in cables for port in cable.ports))
        for cable in cables:
            command(*self._network(cable.near.host), "ip", "link", "delete", "dev", cable.near.interface)
            for port in cable.ports:
                (self._root(port.host) / "dev/infiniband" / nodes[port.device].name).unlink()
            self._cables.remove(cable)

    def _wire(self, shape, hosts, cables):
        """The control network holds the default route, as a management LAN does: no agent takes it for a cable."""
        pairs = ""
        for host in hosts:
            pairs += f"link add name hub{host} type veth peer name ctl netns {self._pids[host]}\n"
            pairs += f"link set dev hub{host} master control up\n"
        for cable in cables:
            near, far = cable.ports
            pairs += (f"link add name {near.interface} mtu {MTU} netns {self._pids[near.host]} type veth "
                      f"peer name {far.interface} mtu {MTU} netns {self._pids[far.host]}\n")
        command("ip", "-batch", "-", text=pairs)
        for host in shape.hosts:
            addresses, filters, devices = "", "", ""
            if host in hosts:
                addresses += f"link set dev lo up\naddress add {shape.control_address(host)}/24 dev ctl\nlink set dev ctl up\n"
                addresses += f"route add default via {CONTROL}.254\n"
            for port in (port for cable in cables for port in cable.ports if port.host == host):
                addresses += f"address add {port.address}/{shape.PREFIX_LENGTH} dev {port.interface}\n"
                addresses += f"link set dev {port.interface} up\n"
                filters += f"qdisc add dev {port.interface} ingress\n"
                devices += f"link add {port.device} type rxe netdev {port.interface}\n"
            if addresses:
                command(*self._network(host), "sh", "-ec", BATCHES, "wire", addresses, filters, devices)

    def _add_devices(self, ports):
        """The kernel shows every device in every namespace; what has no node in /dev/infiniband is not there for libibverbs."""
        self._await_active(ports)
        nodes = device_nodes()
        manager = [int(line.split()[0]) for line in open("/proc/misc", encoding="ascii") if line.split()[1] == "rdma_cm"]
        for port in ports:
            folder = self._root(port.host) / "dev/infiniband"
            node = nodes[port.device]
            make_device(folder / node.name, *map(int, (node / "dev").read_text().split(":")))
            for number in manager:
                make_device(folder / "rdma_cm", MISC, number)

    def _await_active(self, ports):
        for port in ports:
            state = DEVICES / port.device / "ports/1/state"
            wait_until(f"{port.device} is active", lambda state=state: "ACTIVE" in state.read_text())
