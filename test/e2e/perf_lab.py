"""`nccl-relay perf` on every rank of a lab."""
import json
from dataclasses import dataclass

from conftest import Lab, Run


@dataclass
class Perf:
    """What one `lab run ... nccl-relay perf ...` left behind."""

    run: Run

    def right(self):
        self.run.ok()
        return self.table()

    def table(self):
        """Rank 0's JSON document."""
        for line in self.run.output.splitlines():
            _, _, text = line.partition("| ")
            if text.startswith("{"):
                return json.loads(text)
        raise AssertionError(f"no JSON in\n{self.run.text()}")


class PerfLab(Lab):
    """Needs neither NCCL nor a GPU."""

    def __init__(self, build):
        super().__init__(build, {"NCCL_NET_PLUGIN": str(build / "libnccl-net-relay.so")})

    @property
    def command(self):
        return str(self.build / "nccl-relay") + " perf"

    def perf(self, arguments, topology="chain:3", **kwargs):
        """`arguments` are the shell's: they may name $RANK."""
        kwargs.setdefault("options", ["--timeout", "60"])
        return Perf(self.run(topology, "sh", "-c", f"exec {self.command} {arguments} --json", **kwargs))
