"""Fixtures of the tests on real verbs: a virtual machine with soft-RoCE, the shipped files, the real NCCL."""
import os
import pathlib
import subprocess

import pytest

from lab import ROOT, Lab

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77  # of kernel.py
# A change may not land untried.
JUDGED = bool(os.environ.get("CI"))


def pytest_addoption(parser):
    parser.addoption("--build", default=str(ROOT / "build/release"), help="the build folder")
    parser.addoption("--cache", default=str(ROOT / "build/rdma"), help="where the kernel is kept")
    parser.addoption("--processors", type=int, default=2, help="of the virtual machine; one does better on a busy machine")
    parser.addoption("--short", action="store_true", help="without what is marked as long")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: not with --short")
    config.addinivalue_line("markers", "deadly: the virtual machine does not survive it, so that it runs last")


def pytest_collection_modifyitems(config, items):
    items.sort(key=lambda item: item.get_closest_marker("deadly") is not None)
    if config.getoption("--short"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long")])
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def cannot(why):
    if JUDGED:
        pytest.fail(f"a change may not land untried: {why}")
    pytest.skip(why)


@pytest.fixture(scope="session")
def kernel(request):
    folder = pathlib.Path(request.config.getoption("--cache")).resolve()
    done = subprocess.run([HERE / "kernel.py", folder], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    if done.returncode == SKIPPED:
        cannot(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture(scope="session")
def build(request):
    return pathlib.Path(request.config.getoption("--build")).resolve()


@pytest.fixture(scope="session")
def machines(request, kernel, build, tmp_path_factory):
    """The lab of the whole session: never more than one virtual machine at a time."""
    lab = Lab(kernel, build, tmp_path_factory.mktemp("rdma"), request.config.getoption("--processors"))
    yield lab
    lab.close()


@pytest.fixture
def lab(machines):
    """Verbs and nothing else."""
    machines.env = {}
    return machines


@pytest.fixture
def relay_lab(machines):
    """The plugin. Each rank says how it is connected."""
    machines.env = {"NCCL_NET_PLUGIN": str(machines.build / "libnccl-net-relay.so"), "NCCL_NET": "Relay", "NCCL_DEBUG": "INFO",
                    # Five times the defaults: an emulated host on a busy machine is slow, not gone.
                    "NCCL_RELAY_CONNECT_TIMEOUT": "150", "NCCL_RELAY_HOP_TIMEOUT": "50", "NCCL_RELAY_RECOVER_TIMEOUT": "150"}
    return machines


@pytest.fixture
def nccl_lab(relay_lab):
    """The real NCCL over the plugin. Guard mode: device memory faults when anything but a kernel or a copy engine touches it."""
    if not (relay_lab.build / "test/nccl/nccl_perf").exists():
        cannot("no real NCCL: run test/nccl/fetch.sh build/nccl and build again")
    relay_lab.env.update(FAKECUDA_GUARD="1", NCCL_DEBUG_SUBSYS="INIT,NET,ENV", RELAY_TEST_NCCL="2.22.3")
    return relay_lab
