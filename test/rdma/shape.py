"""The fabrics of test/rdma, and how their parts are named: as in `nccl-relay lab`, plus a verbs device at each port.

Used on both sides: tests name ports and devices by it, the guest wires it.
"""
import re
from dataclasses import dataclass

NAMES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CONTROL = "10.88.0"  # the control network; host number k is CONTROL.k


class UnknownShape(ValueError):
    pass


@dataclass(frozen=True)
class Port:
    """One end of a cable."""

    host: str
    interface: str
    address: str

    @property
    def device(self):
        return "rxe_" + self.interface


@dataclass(frozen=True)
class Cable:
    near: Port
    far: Port

    @property
    def ports(self):
        return (self.near, self.far)

    def joins(self, one, other):
        return {self.near.host, self.far.host} == {one, other}


class Shape:
    """`chain:N` or `ring:N`. Cable number i is the subnet 10.77.0.0/30 + 4 i; ring:2 is two cables between the same hosts."""

    PREFIX_LENGTH = 30

    def __init__(self, text):
        match = re.fullmatch(r"(chain|ring):(\d+)", text)
        if not match or not 2 <= int(match[2]) <= len(NAMES):
            raise UnknownShape(f"{text}: there are chain:N and ring:N, N from 2 to {len(NAMES)}")
        self.text = text
        self.hosts = list(NAMES[:int(match[2])])
        pairs = list(zip(self.hosts, self.hosts[1:]))
        if match[1] == "ring":
            pairs.append((self.hosts[-1], self.hosts[0]))
        self.cables = []
        for near, far in pairs:
            self._join(near, far)

    def _join(self, near, far):
        number = len(self.cables)
        twin = sum(cable.joins(near, far) for cable in self.cables)
        suffix = str(twin + 1) if twin else ""

        def port(host, towards, end):
            return Port(host, (host + towards).lower() + suffix, f"10.77.{4 * number // 256}.{4 * number % 256 + end}")

        self.cables.append(Cable(port(near, far, 1), port(far, near, 2)))

    def cables_between(self, one, other):
        return [cable for cable in self.cables if cable.joins(one, other)]

    def ports(self, host):
        return [port for cable in self.cables for port in cable.ports if port.host == host]

    def port(self, host, towards):
        """The (first) port of `host` whose cable leads to `towards`."""
        for cable in self.cables_between(host, towards):
            return cable.near if cable.near.host == host else cable.far
        raise UnknownShape(f"{self.text} has no cable between {host} and {towards}")

    def control_address(self, host):
        return f"{CONTROL}.{self.hosts.index(host) + 1}"
