"""What may happen to a fabric while scripts run, as tests write it: `cut A-B@3s`.

`KIND PLACE[=VALUE]@WHEN`; WHEN is seconds after the start (`3s`), the name of a file that appears in $OUT (`connected`), or how
many packets a port has sent since the start (`ab:1000`): a condition is to be preferred, because an emulated machine has no pace of
its own. When a fault has come, $OUT/KIND.PLACE appears.
"""
import re
from dataclasses import dataclass

#   kind            place, value, and what happens
KINDS = {
    "cut": "link",  # the port of the second host goes down, so the first one loses its carrier: the two ways a port can go
    "heal": "link",  # the link is as it was before any of these
    "loss": "link",  # this part of the packets is lost both ways; 100% is silence with the carrier up
    "kill-agent": "host",  # the agents of this host
    "kill-ranks": "host",  # every process of this host but its agents
    "kill": "host",  # every process of this host
}


class UnknownFault(ValueError):
    pass


@dataclass(frozen=True)
class Fault:
    text: str
    kind: str
    hosts: tuple
    value: str
    seconds: float | None = None
    file: str | None = None
    port: str | None = None
    packets: int | None = None

    @property
    def mark(self):
        """The file in $OUT that says that it has come."""
        return f"{self.kind}.{'-'.join(self.hosts)}"


def parse(text, shape):
    match = re.fullmatch(r"([a-z-]+) (\w+)(?:-(\w+))?(?:=([\d.]+%))?@(?:([\d.]+)s|(\w+):(\d+)|([\w.-]+))", text)
    if not match or match[1] not in KINDS:
        raise UnknownFault(f"{text}: want KIND PLACE@WHEN; kinds are {', '.join(KINDS)}")
    kind, one, other, value, seconds, port, packets, file = match.groups()
    if (KINDS[kind] == "link") != (other is not None) or (kind == "loss") != (value is not None):
        raise UnknownFault(f"{text}: {kind} is of a {KINDS[kind]}" + (", as in loss A-B=2%@0s" if kind == "loss" else ""))
    if other and not shape.cables_between(one, other):
        raise UnknownFault(f"{text}: {shape.text} has no link between {one} and {other}")
    if one not in shape.hosts:
        raise UnknownFault(f"{text}: {shape.text} has no host {one}")
    if port and port not in [end.interface for cable in shape.cables for end in cable.ports]:
        raise UnknownFault(f"{text}: {shape.text} has no port {port}")
    return Fault(text, kind, (one, other) if other else (one,), value or "", seconds=float(seconds) if seconds else None, file=file,
                 port=port, packets=int(packets) if packets else None)
