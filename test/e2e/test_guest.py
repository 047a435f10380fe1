"""The plugin as a guest of somebody else's process: what it brings along and what it leaves behind."""
import ctypes
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import ROOT, Lab

HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="session")
def library(build):
    return build / "libnccl-net-relay.so"


@pytest.fixture
def node(build, guest, library):
    """Runs net_guest in node A of a small fabric."""
    def run(*mode, **kwargs):
        return Lab(build).run("chain:2", guest, str(library), *mode, deadline=90,
                              options=["--ranks", "A", "--timeout", "60", *kwargs.pop("options", ())], **kwargs)
    return run


def test_exports_libraries_and_glibc_are_those_of_a_good_guest(library):
    done = subprocess.run([ROOT / "test/lint/check_so.sh", library], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_it_loads_into_a_c_program(guest, library):
    done = subprocess.run([guest, library, "name"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Relay\n", "")


def test_it_loads_into_python(library):
    class Table(ctypes.Structure):
        _fields_ = [("name", ctypes.c_char_p)]

    loaded = ctypes.CDLL(str(library), mode=ctypes.RTLD_LOCAL)  # RTLD_NOW is ctypes' own
    assert Table.in_dll(loaded, "ncclNetPlugin_v11").name == b"Relay"


def test_messages_to_oneself_pass_on_one_thread_and_leave_nothing(node):
    run = node("self").ok()
    assert run.output == "", "the plugin wrote to standard output or error"


def test_nothing_is_written_into_memory_after_its_registration_went(node):
    run = node("abort").ok()
    run.says("its memory was deregistered with requests in flight")


def test_fifty_rounds_of_init_and_finalize_leave_nothing(node):
    assert node("rounds", "50").ok().output == ""


@pytest.mark.parametrize("mode", ["comms", "shared"])
def test_a_thousand_communicators_one_after_another_grow_nothing(node, mode):
    assert "1000 rounds: +0 threads, +0 descriptors" in node(mode, "1000").ok().output


def test_it_can_be_loaded_and_unloaded_a_hundred_times(node):
    node("reload", "100").ok()


def test_a_forked_child_is_refused_and_holds_nothing(node):
    run = node("child").ok()
    run.says("listen: this process was forked from one that uses NCCL", "spawn")


@pytest.mark.parametrize("receiver", ["B", "C"], ids=["direct", "relayed"])
def test_a_forked_worker_does_not_keep_its_dead_rank_alive(build, guest, library, tmp_path, receiver):
    handle = tmp_path / "handle"
    script = f"[ $RANK = 0 ] && exec {guest} {library} outlive {handle}; exec {guest} {library} await {handle}"
    run = Lab(build).run("chain:3", "sh", "-c", script, deadline=90, options=[
        "--ranks", f"A,{receiver}", "--timeout", "60", "--grace", "25"])
    assert run.status == 128 + 9, run.text()
    told = re.search(rf"^{receiver}\| error after ([\d.]+) s", run.output, re.M)
    assert told and float(told[1]) < 1 + 2, run.text()
    run.says("connection with A", "the peer has ended")


@pytest.mark.parametrize("broken", [
    {"NCCL_RELAY_FABRIC": "/nowhere/fabric.json"}, {"NCCL_RELAY_SEGMENT": "1000"},
    {"NCCL_RELAY_AGENT": "off"},
], ids=lambda broken: "=".join(*broken.items()))
def test_an_init_that_fails_leaves_no_thread_descriptor_or_child(node, broken):
    node("failing", "3", env=broken, options=["--agents", "none"]).ok()


def test_an_agent_whose_port_is_taken_leaves_no_child(node, guest, library):
    script = ("import socket, subprocess, sys\n"
              "taken = socket.socket(); taken.bind(('10.77.0.1', 21517)); taken.listen()\n"
              "sys.exit(subprocess.run(sys.argv[1:]).returncode)")
    run = Lab(library.parent).run("chain:2", "python3", "-c", script, guest, str(library), "failing", "2", deadline=90,
                                  options=["--ranks", "A", "--agents", "none", "--timeout", "60"]).ok()
    run.says("this node's agent cannot start", "10.77.0.1:21517", "ab")


@pytest.mark.nccl
def test_the_shared_object_alone_is_enough(lab, library, tmp_path):
    alone = shutil.copy(library, tmp_path)
    seen = "for p in $(pgrep -x nccl-relay | grep -vx 1); do tr '\\0' ' ' </proc/$p/cmdline; echo; done"
    run = lab.run("chain:3", "sh", "-c", f"{lab.rank} all_reduce -b 8 -e 1M -f 16 -n 1 -w 0 && {seen}",
                  options=["--agents", "none"], env={"NCCL_NET_PLUGIN": alone}).ok()
    assert "Out of bounds values : 0 OK" in run.output
    run.says("via NET/Relay")
    run.says(f"{alone} agent --auto")
    assert str(library.parent / "nccl-relay") not in run.output


@pytest.mark.nccl
def test_nothing_of_it_appears_on_standard_output(lab):
    run = lab.run("chain:3", "sh", "-c", f"{lab.rank} all_reduce -b 8 -e 8 -n 1 -w 0 2>/dev/null",
                  env={"NCCL_DEBUG": "WARN", "NCCL_DEBUG_FILE": "/dev/null"}).ok()
    foreign = [line for line in run.output.splitlines() if not line.startswith("A| ")]
    assert foreign == [] and "elay" not in run.output
