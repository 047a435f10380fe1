"""Every command that a document shows is typed here, unless its mark says why it cannot be (document_blocks.py)."""
import json
import os
import pty
import re
import shlex
import subprocess
import threading
import time
import uuid

import pytest

from conftest import ROOT, Lab
from document_blocks import all_blocks, blocks_of

BLOCKS = all_blocks(ROOT)
RUN = [pytest.param(block, id=block.where) for block in BLOCKS if block.mark is not None and block.reason is None]
# What documents call the reader's own: NCCL's all_reduce now and then, until every fault of an example has come.
PROGRAMS = {"your_program": 18, "train": 35, "all_reduce": 5}
# Blocks see an /etc and a /run of their own, so that they may write there and meet no lab but their own, and no processes but
# their own: what they leave behind ends with them.
APART = ("mount -t tmpfs none /run && mkdir /run/upper /run/work && "
         "mount -t overlay none -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc && exec bash -e $0")

pytestmark = pytest.mark.nccl


# What is said of the blocks -----------------------------------------------------------------------------------------

def test_every_block_says_whether_it_is_run():
    assert len(RUN) > 10
    assert not [f"{block.where} {block.complaint()}" for block in BLOCKS if block.complaint()]


@pytest.mark.parametrize("lines,complaint", [
    (["```sh", "true", "```"], "no mark"),
    (["<!-- run -->", "", "```sh", "true", "```"], "no mark"),
    (["<!-- run -->", "```", "true", "```"], "no language"),
    (["<!-- run: somewhere -->", "```sh", "true", "```"], "means nothing"),
    (["<!-- run -->", "```yaml", "a: b", "```"], "no shell runs"),
    (["<!-- run: not here, it needs a GPU -->", "```sh", "true", "```"], None),
    (["<!-- run: on B of chain:3, in a terminal in which q is typed, ends with 2 -->", "```sh", "true", "```"], None),
    (["```json", "{}", "```"], None)])
def test_a_mark_is_asked_for(lines, complaint):
    block, = blocks_of("page.md", "\n".join(lines))
    assert (complaint in block.complaint()) if complaint else block.complaint() is None


@pytest.mark.parametrize("block", [pytest.param(b, id=b.where) for b in BLOCKS if b.language == "json"])
def test_an_example_of_json_is_json(block):
    json.loads(block.text)


# The blocks ---------------------------------------------------------------------------------------------------------

def like_a_clone(folder, build):
    """A folder in which `make` has been typed, and programs have the names that documents give them."""
    for entry in ROOT.iterdir():
        if entry.name not in ("build", ".git"):
            (folder / entry.name).symlink_to(entry)
    made = folder / "build"
    made.mkdir()
    (made / "nccl").symlink_to(ROOT / "build/nccl")
    (made / "release").symlink_to(build)
    programs = folder / "programs"
    programs.mkdir()
    for name in ("nccl-relay", "libnccl-net-relay.so"):
        (made / name).symlink_to(build / name)
    (programs / "nccl-relay").symlink_to(build / "nccl-relay")
    for name, repetitions in PROGRAMS.items():
        program = programs / name
        rank = f"{build}/test/nccl/rank.sh all_reduce -b 64K -e 64K -w 0 --hold 0.2"
        program.write_text(f"#!/bin/sh\nexec {rank} -n {repetitions}\n")
        program.chmod(0o755)
        (folder / name).symlink_to(program)
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}


def ended(block, done):
    status, output = done
    assert status == int(block.how.get("status") or 0), f"{block.where} ended with {status}\n{output}"
    assert "did not come" not in output, output
    return output


def finish(running, read, seconds=120):
    """(status, output) of a program that must end by itself."""
    try:
        output = read()
        return running.wait(seconds), output
    finally:
        running.kill()


def typed(args, terminal, **kwargs):
    """Runs a command, in a terminal if wanted, where a finger on the key q waits for whatever listens to it."""
    if not terminal:
        done = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=180, **kwargs)
        return done.returncode, done.stdout
    here, there = pty.openpty()
    running = subprocess.Popen(args, stdin=there, stdout=there, stderr=there, start_new_session=True, **kwargs)
    os.close(there)
    over = threading.Event()

    def press():
        while not over.wait(1):
            os.write(here, b"q")

    finger = threading.Thread(target=press)
    finger.start()
    try:
        return finish(running, lambda: shown_by(here))
    finally:
        over.set()
        finger.join()
        os.close(here)


def shown_by(terminal):
    """All that comes until nobody is left to write."""
    output, end = b"", time.monotonic() + 120
    while time.monotonic() < end:
        try:
            some = os.read(terminal, 65536)
        except OSError:
            break
        output += some
    return output.decode(errors="replace")


class Busy:
    """A discovered fabric that stays up, between whose ends bytes go for as long as anybody looks."""

    def __init__(self, build, topology):
        self.build, self.topology, self.binary = build, topology, str(build / "nccl-relay")
        self.name, self.ranks = f"documents-{uuid.uuid4().hex[:8]}", []
        self.env = {**os.environ, "PATH": f"{build}:{os.environ['PATH']}"}

    def up(self):
        declared = subprocess.run([self.binary, "lab", "fabric", self.topology], capture_output=True, text=True, check=True)
        names = [node["name"] for node in json.loads(declared.stdout)["nodes"]]
        options = ["--discover", "--agents", "all", "--rate", "100mbit", "--name", self.name]
        plugin = ["--env", f"NCCL_NET_PLUGIN={self.build}/libnccl-net-relay.so"]
        subprocess.run([self.binary, "lab", "up", self.topology, *options, *plugin], check=True, timeout=60,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        script = (f"exec env WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1 MASTER_PORT=29500 {self.binary} perf alltoall -b 256K "
                  "-e 256K --seconds 600")
        for rank, node in enumerate((names[0], names[-1])):
            self.ranks.append(subprocess.Popen(self.args(node, f"RANK={rank} {script}"), stdin=subprocess.DEVNULL,
                                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        self.await_flows(names[1])

    def await_flows(self, relay):
        deadline, text = time.monotonic() + 60, ""
        while not (text.startswith("{") and json.loads(text)["relayed"]):
            assert time.monotonic() < deadline, text
            time.sleep(0.1)
            text = typed(self.args(relay, "nccl-relay status --json"), False, env=self.env)[1]

    def args(self, node, script):
        return [self.binary, "lab", "exec", node, "--name", self.name, "--", "bash", "-ec", script]

    def down(self):
        subprocess.run([self.binary, "lab", "down", "--name", self.name], timeout=60, stdin=subprocess.DEVNULL, check=False)
        for rank in self.ranks:
            rank.wait(timeout=60)


@pytest.fixture(scope="module")
def busy(build):
    labs = {}

    def get(topology):
        if topology not in labs:
            labs[topology] = Busy(build, topology)
            labs[topology].up()
        return labs[topology]
    yield get
    for lab in labs.values():
        lab.down()


def labels(lines):
    """What each line begins with, figures apart."""
    return {words[0] for words in map(str.split, lines) if words and not re.search(r"\d", words[0])}


def on_a_node(block, busy):
    how = block.how
    lab = busy(how["busy"])
    output = ended(block, typed(lab.args(how["node"], block.script()), how.get("terminal"), env=lab.env))
    assert labels(block.shown()) <= labels(output.splitlines()), output


def on_each_node(block, build):
    script = re.sub(r"\bRANK=0\b", "RANK=$RANK", block.script())
    ended_run = Lab(build).run(block.how.get("each"), "bash", "-ec", f"PATH={build}:$PATH; {script}", options=["--discover"])
    ended(block, (ended_run.status, ended_run.output))
    assert "Out of bounds values : 0 OK" in ended_run.output, ended_run.text()


def as_settings(block, build):
    env = dict(word.split("=", 1) for word in shlex.split(block.script()))
    env |= {"LD_LIBRARY_PATH": str(build), "NCCL_DEBUG": "INFO"}
    run = Lab(build).nccl(block.how.get("job"), "all_reduce -b 8 -e 8", env=env, options=["--discover"])
    assert "Using network Relay" in ended(block, (run.status, run.output)), run.text()


def in_a_clone(block, build, folder):
    env = like_a_clone(folder, build)
    typing = folder / "typed.sh"
    typing.write_text(block.script())
    apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    output = ended(block, typed([*apart, *as_root, "sh", "-c", APART, typing], block.how.get("terminal"), cwd=folder, env=env))
    assert labels(block.shown()) <= labels(output.splitlines()), output


@pytest.mark.parametrize("block", RUN)
def test_a_block_works_as_it_is_typed(block, build, busy, tmp_path):
    if block.how.get("busy"):
        on_a_node(block, busy)
    elif block.how.get("each"):
        on_each_node(block, build)
    elif block.how.get("job"):
        as_settings(block, build)
    else:
        in_a_clone(block, build, tmp_path)
