"""Fixtures of the lab tests: fabrics of network namespaces, the shipped files, the real NCCL."""
import json
import os
import pathlib
import subprocess
import tempfile
import time
from dataclasses import dataclass, field

import pytest

from pairwise import seed

ROOT = pathlib.Path(__file__).resolve().parents[2]


def pytest_addoption(parser):
    parser.addoption("--build", default=str(ROOT / "build/release"), help="the build folder")
    parser.addoption("--whole", action="store_true", help="the full product of cases, long")


def pytest_configure(config):
    config.addinivalue_line("markers", "nccl: needs the real NCCL (test/nccl/fetch.sh)")
    config.addinivalue_line("markers", "long: only with --whole")
    config.addinivalue_line("markers", "alone: judges how little the machine does, so that nothing else may run beside it")
    os.environ["RELAY_TEST_SEED"] = seed()  # the same for those who collect beside each other


def pytest_report_header():
    return f"pairwise choices: RELAY_TEST_SEED={seed()}"


def pytest_collection_modifyitems(config, items):
    for item in items:
        if item.get_closest_marker("long") and not config.getoption("--whole"):
            item.add_marker(pytest.mark.skip(reason="only with --whole"))


@dataclass
class Run:
    """What one `nccl-relay lab run` left behind."""

    status: int
    output: str
    seconds: float
    counters: dict
    agent_logs: dict

    def text(self):
        logs = "".join(f"--- agent {node}\n{log}" for node, log in self.agent_logs.items())
        return f"exit {self.status} after {self.seconds:.1f} s\n{self.output}\n{logs}"

    def ok(self):
        assert self.status == 0, self.text()
        return self

    def failed(self):
        assert self.status != 0, self.text()
        return self

    def clean(self):
        """No sanitizer reported anything, in a rank or in an agent."""
        for word in ("AddressSanitizer", "ThreadSanitizer", "LeakSanitizer", "runtime error:"):
            assert word not in self.text().replace("swapcontext", ""), self.text()
        return self

    def had_agents(self, nodes, starts):
        """These nodes, and no others, had an agent, which was started that often."""
        assert {node: log.count("agent of node") for node, log in self.agent_logs.items()} == dict.fromkeys(nodes, starts), \
            self.text()

    def says(self, *words):
        """One line of the ranks' output holds all these words."""
        for line in self.output.splitlines():
            if all(word in line for word in words):
                return line
        raise AssertionError(f"no line with {words} in\n{self.text()}")


@dataclass
class Lab:
    build: pathlib.Path
    env: dict = field(default_factory=dict)

    @property
    def binary(self):
        # ThreadSanitizer's own thread keeps a process from entering namespaces: the plain build wires the lab then.
        threaded = self.build.name == "tsan"
        return str((self.build.parent / "release" if threaded else self.build) / "nccl-relay")

    @property
    def rank(self):
        return str(self.build / "test/nccl/rank.sh")

    def run(self, topology, *command, options=(), env=None, deadline=300):
        with tempfile.TemporaryDirectory() as logs:
            counters = os.path.join(logs, "counters.json")
            args = [self.binary, "lab", "run", topology, "--log-dir", logs, "--counters-json", counters]
            args += [*options]
            for name, value in {**self.env, **(env or {})}.items():
                args += ["--env", f"{name}={value}"]
            args += ["--", *command]
            start = time.monotonic()
            done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=deadline,
                                  stdin=subprocess.DEVNULL, text=True, errors="replace")
            seconds = time.monotonic() - start
            measured = {}
            if os.path.exists(counters):
                measured = json.loads(pathlib.Path(counters).read_text() or "{}")
            agent_logs = {p.stem.removeprefix("agent-"): p.read_text(errors="replace")
                          for p in sorted(pathlib.Path(logs).glob("agent-*.log"))}
        # A run without counters would say that nothing went where nothing may go.
        assert measured or done.returncode in (2, 125), done.stdout
        return Run(done.returncode, done.stdout, seconds, measured, agent_logs)

    def nccl(self, topology, *commands, **kwargs):
        """Each command is a nccl_perf command line; all run one after the other on every rank."""
        script = " && ".join(f"{self.rank} {c}" for c in commands)
        return self.run(topology, "sh", "-c", script, **kwargs)


@pytest.fixture(scope="session")
def whole(request):
    return request.config.getoption("--whole")


@pytest.fixture(scope="session")
def build(request):
    return pathlib.Path(request.config.getoption("--build")).resolve()


@pytest.fixture(scope="session")
def guest(tmp_path_factory):
    """net_guest, a plain C program: no C++ runtime comes with it."""
    program = tmp_path_factory.mktemp("guest") / "net_guest"
    subprocess.run(["cc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program,
                    ROOT / "test/e2e/net_guest.c"], check=True, timeout=60)
    return str(program)


@pytest.fixture
def lab(build):
    if not (build / "test/nccl/nccl_perf").exists():
        if os.environ.get("CI"):
            pytest.fail("the real NCCL is missing, and a change may not land without it")
        pytest.skip("no real NCCL: run test/nccl/fetch.sh build/nccl and build again")
    # Guard mode: device memory faults when anything but a kernel or a copy engine touches it.
    return Lab(build, {"NCCL_NET_PLUGIN": str(build / "libnccl-net-relay.so"), "FAKECUDA_GUARD": "1",
                       "NCCL_DEBUG": "INFO", "NCCL_DEBUG_SUBSYS": "INIT,NET,ENV"})
