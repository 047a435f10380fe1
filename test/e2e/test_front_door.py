"""What a stranger does first, `git clone` and `make demo`: exactly that, in a folder of its own."""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import pytest

from conftest import ROOT

PHASES = ["installing", "fetching", "building", "all_reduce", "all_gather", "reduce_scatter", "broadcast", "alltoall",
          "all_reduce .* without it", "that is all"]
COLLECTIVES = ["all_reduce", "all_gather", "reduce_scatter", "broadcast", "alltoall"]

pytestmark = pytest.mark.nccl


@contextlib.contextmanager
def fresh_clone():
    """What is committed, and nothing else of this folder but the NCCL that it has fetched."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", ROOT, f"{folder}/nccl-relay"], check=True, timeout=120)
        yield pathlib.Path(folder) / "nccl-relay"


def run(clone, *command, timeout):
    # A make that runs this test hands its own settings to every make below it.
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return subprocess.run(command, cwd=clone, env={**env, "NCCL_WHEELS": str(ROOT / "build/nccl")}, capture_output=True,
                          text=True, timeout=timeout, stdin=subprocess.DEVNULL)


def screen_of(clone):
    return run(clone, sys.executable, "test/e2e/demo_screen.py", "build/demo", *COLLECTIVES, timeout=60)


def check_phases(lines):
    told = [re.fullmatch(r"\[ *(\d+) s\] (.*)", line) for line in lines]
    assert all(told) and len(told) == len(PHASES), lines
    for phase, line in zip(PHASES, told):
        assert re.match(phase, line[2]), lines
    times = [int(line[1]) for line in told]
    assert times == sorted(times), lines


def check_screen(text):
    lines = text.splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 100, text
    for collective in COLLECTIVES:
        row = next(line.split() for line in lines if line.split()[:1] == [collective])
        wrong, relayed = row[-2:]
        assert wrong == "0" and (float(relayed) > 1) == (collective != "broadcast"), text
    assert re.search(r"C: .*connect to 10\.77\.0\.1<\d+> failed : Network is unreachable", text), text
    assert re.search(r"From A to C it relayed \d+ MB and from C to A \d+ MB", text), text
    assert re.search(r"over the LAN \d\.\d MB of bootstrap\. Packets that kernels routed: 0\.", text), text


def replace(log, old, new):
    text = log.read_text()
    assert re.search(old, text), f"{log} has no {old}"
    log.write_text(re.sub(old, new, text))


def check_that_the_screen_is_refused(clone, log, old, new, why):
    """The same folder with one thing in it that is not as it should be."""
    logs, kept = clone / "build/demo", clone / "build/kept"
    shutil.copytree(logs, kept)
    replace(logs / log, old, new)
    done = screen_of(clone)
    assert done.returncode == 1 and why in done.stderr and done.stdout == "", done.stdout + done.stderr
    shutil.rmtree(logs)
    kept.rename(logs)


def test_make_demo_works_in_a_fresh_clone(capsys):
    with fresh_clone() as clone:
        start = time.monotonic()
        done = run(clone, "make", "demo", timeout=1800)
        with capsys.disabled():
            print(f"\nmake demo in a fresh clone: {time.monotonic() - start:.0f} s")
        assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr
        phases, _, screen = done.stdout.partition("\n\n")
        check_phases(phases.splitlines())
        check_screen(screen)
        assert (clone / "build/nccl-relay").exists(), "the program that the screen names is not there"
        for broken in [("alltoall.log", r" 0(( +[\d.]+){3} +N/A\n)", r" 3\1", "alltoall is not right"),
                       ("all_reduce/agent-B.log", r"relaying circuit", "refusing circuit", "all_reduce: B relayed nothing"),
                       ("all_gather/counters.json", r'("ctl": \{"rx_bytes": \d+, "rx_packets": \d+, "tx_bytes": )', r"\g<1>99",
                        "all_gather: data went over the LAN"),
                       ("broadcast/counters.json", r'"ip_forwarded": 0', '"ip_forwarded": 1', "a kernel routed"),
                       ("alone.log", r"status \d+", "", "NCCL alone passed"),
                       ("alone.log", "Network is unreachable", "Connection refused", "did not fail for want of a way")]:
            check_that_the_screen_is_refused(clone, *broken)
        assert screen_of(clone).returncode == 0


def test_a_phase_that_fails_says_so_with_the_end_of_its_log():
    with fresh_clone() as clone:
        done = run(clone, "make", "demo", "PRESET=none-of-that-name", timeout=300)
        assert done.returncode != 0
        assert re.fullmatch(r"(\[ *\d+ s\] (installing|fetching|building).*\n){3}", done.stdout), done.stdout
        assert "that failed; build/demo/build.log ends with:" in done.stderr and "none-of-that-name" in done.stderr, done.stderr
