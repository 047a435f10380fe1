"""One screen of what demo.sh has shown, and status 1 if it has not: demo_screen.py FOLDER COLLECTIVE..."""
import json
import pathlib
import re
import sys

MIB = 1 << 20
SIZES = {32768: "32 KiB", 262144: "256 KiB", 2097152: "2 MiB", 16777216: "16 MiB"}
PICTURE = """\
  +---+  cable  +---+  cable  +---+    Three nodes in a row, one rank on each: network namespaces of
  | A |=========| B |=========| C |    this machine. NCCL's ring is A -> B -> C -> A, but no cable
  +---+         +---+         +---+    joins C and A, and no kernel routes between the cables.
    '--------- slow LAN --------'      The LAN is for NCCL's bootstrap.

  This is NCCL {nccl}, as NVIDIA ships it. Its GPUs are emulated on the CPU: the results are NCCL's,
  the times are this CPU's."""


def must(claim, what):
    if not claim:
        sys.exit(f"demo: this is not what it should show: {what}")


def rows(text):
    """Of a table of nccl-tests: size, microseconds, GB/s on the bus, and how many values were wrong in both placements."""
    for line in text.splitlines():
        words = line.removeprefix("A| ").split()
        if len(words) == 13 and words[0].isdigit():
            yield int(words[0]), float(words[5]), float(words[7]), sum(int(w) for w in (words[8], words[12]) if w != "N/A")


class Collective:
    """What one of them left: its table, its counters, and what B's agent said."""

    def __init__(self, folder, name):
        self.name = name
        self.rows = list(rows((folder / f"{name}.log").read_text()))
        self.counters = json.loads((folder / name / "counters.json").read_text())
        self.nccl_log = (folder / name / "nccl-A.log").read_text()
        agent = (folder / name / "agent-B.log").read_text()
        paths = dict(re.findall(r"relaying circuit (\S+): (A .* C|C .* A),", agent))
        self.relayed = {"A": 0, "C": 0}  # by the node that sends
        for circuit, there, back in re.findall(r"circuit (\S+) ended: (\d+) bytes forward, (\d+) backward", agent):
            if circuit in paths:
                self.relayed[paths[circuit][0]] += int(there)
                self.relayed["C" if paths[circuit][0] == "A" else "A"] += int(back)

    def wrong(self):
        return sum(row[3] for row in self.rows)

    def line(self):
        speed = "".join(f"{self.near(size)[2]:9.2f}" for size in SIZES)
        relayed = sum(self.relayed.values()) / 1e6
        return f"  {self.name:15}{self.rows[0][1] / 1000:8.1f} ms {speed}{self.wrong():10}{relayed:16.1f}"

    def near(self, size):
        """The row of about that size: three ranks share messages of 32760 bytes."""
        return min(self.rows, key=lambda row: abs(row[0] - size))

    def sent(self, lan):
        return sum(interface["tx_bytes"] for node in self.counters.values() for name, interface in node.items()
                   if name not in ("ip_forwarded", "lo") and (name == "ctl") == lan)


def with_the_plugin(collectives):
    for c in collectives:
        must(len(c.rows) == 8 and c.wrong() == 0, f"{c.name} is not right")
        must("Using network Relay" in c.nccl_log, f"{c.name} did not use the plugin")
        # A broadcast goes from A to B to C and needs no way back.
        must(sum(c.relayed.values()) > MIB or c.name == "broadcast", f"{c.name}: B relayed nothing")
        must(c.sent(lan=True) < MIB, f"{c.name}: data went over the LAN")
    routed = sum(node["ip_forwarded"] for c in collectives for node in c.counters.values())
    must(routed == 0, "a kernel routed")
    relayed = {node: sum(c.relayed[node] for c in collectives) / 1e6 for node in ("A", "C")}
    return [
        "WITH libnccl-net-relay.so: what no cable joins, the agent on B relays, and every result is right", "",
        f"  {'':15}{'smallest':>11} {'bus bandwidth in GB/s, by size':^36}{'wrong':>10}{'relayed by B':>16}",
        f"  {'':15}{'message':>11} {''.join(f'{name:>9}' for name in SIZES.values())}{'values':>10}{'MB':>16}",
        *(c.line() for c in collectives), "",
        f"  From A to C it relayed {relayed['A']:.0f} MB and from C to A {relayed['C']:.0f} MB, socket to socket.",
        "  A broadcast from A needs no way from C to A.",
        f"  Over the cables went {sum(c.sent(lan=False) for c in collectives) / 1e6:.0f} MB, over the LAN"
        f" {sum(c.sent(lan=True) for c in collectives) / 1e6:.1f} MB of bootstrap. Packets that kernels routed: {routed}.",
    ]


def without_it(text):
    warning = re.search(r"^([ABC])\| .*NCCL WARN (.*Network is unreachable)", text, re.M)
    must("\nstatus " in text, "NCCL alone passed: this chain is no chain")
    must(warning, "NCCL alone did not fail for want of a way")
    waiting = re.findall(r"\(([ABC])\)", "".join(re.findall("still running: .*", text)))
    must(waiting, "of NCCL alone nobody waited")
    return ["WITHOUT it, on the same cables: NCCL stops", "", f"  {warning[1]}: {warning[2]}"[:100],
            f"  {', '.join(waiting)}: not a word, and no end; ended by the demo after 10 seconds"]


def main():
    folder = pathlib.Path(sys.argv[1])
    collectives = [Collective(folder, name) for name in sys.argv[2:]]
    version = re.search(r"NCCL version ([\d.]+)", collectives[0].nccl_log)
    screen = [*PICTURE.format(nccl=version[1] if version else "").splitlines(), "", *with_the_plugin(collectives), "",
              *without_it((folder / "alone.log").read_text()), "",
              f"The whole tables and logs are in {folder}. Your own program on such a chain (docs/lab.md):", "",
              "  build/nccl-relay lab run chain:3 -- your_program"]
    print("\n".join(line.rstrip() for line in screen))


main()
