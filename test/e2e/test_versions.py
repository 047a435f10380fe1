"""Every NCCL that test/nccl can run, from 2.22 to the newest, through the same plugin file on a chain."""
import os

import pytest

from conftest import ROOT
from midway import midway
from test_faults import TRAFFIC, check_told, faulty

# NCCL, and the newest net plugin that it knows: it takes that one.
TESTED = {"2.22.3": 8, "2.25.1": 9, "2.27.7": 10, "2.28.9": 11, "2.32.3": 12}
FURTHER = {"2.23.4": 8, "2.24.3": 9, "2.26.5": 10, "2.29.7": 11, "2.30.7": 12, "2.31.2": 12}
FIRST_WITH_PAT = (2, 23)
FIRST_TO_NAME_ITS_NEWEST_TABLE = (2, 24)
SIZES = "-b 20 -e 2M -f 40 -n 1 -w 0"


def number(version):
    return tuple(int(part) for part in version.split(".")[:2])


def commands(lab, version, whole):
    """All-reduce by both protocols, and all-gather by the algorithm that NCCL has for one rank on each node."""
    algorithm = "PAT" if number(version) >= FIRST_WITH_PAT else "Ring"
    yield f"NCCL_ALGO=Ring NCCL_PROTO=LL {lab.rank} all_reduce {SIZES}"
    if not whole:
        return  # test_collectives.py has every version with every operation
    yield f"NCCL_ALGO=Ring NCCL_PROTO=Simple {lab.rank} all_reduce {SIZES}"
    yield f"NCCL_ALGO={algorithm} NCCL_PROTO=Simple {lab.rank} all_gather {SIZES}"


def check_table(run, version):
    """NCCL took the plugin's table of the newest version that it knows."""
    if number(version) >= FIRST_TO_NAME_ITS_NEWEST_TABLE:
        run.says("Loaded net plugin Relay", f"(v{ {**TESTED, **FURTHER}[version]})")
    else:  # it only says so when it has to go back to an older one
        assert "Loaded net plugin Relay" not in run.output, run.text()
        assert "Failed to find ncclNetPlugin" not in run.output, run.text()
    run.says("via NET/Relay")
    assert "via NET/Socket" not in run.output, run.text()


def need(version, whole):
    if not (ROOT / f"build/nccl/nccl-{version}").exists() or (version in FURTHER and not whole):
        if version in TESTED and os.environ.get("CI"):
            pytest.fail(f"NCCL {version} is missing, and a change may not land without it")
        pytest.skip(f"no NCCL {version}, or one for --whole: test/nccl/fetch.sh build/nccl {version}")


@pytest.mark.nccl
@pytest.mark.parametrize("version", [*TESTED, *FURTHER])
def test_every_nccl_takes_its_newest_table_and_is_right(lab, whole, version):
    need(version, whole)
    script = list(commands(lab, version, whole))
    run = lab.run("chain:3", "sh", "-c", " && ".join(script), env={"RELAY_TEST_NCCL": version}).ok()
    assert run.output.count("Out of bounds values : 0 OK") == len(script), run.text()
    run.says(f"NCCL version {version}+cuda")
    check_table(run, version)


@pytest.mark.nccl
def test_where_nccl_chooses_the_algorithm_it_takes_pat_and_is_right(lab):
    collectives = ("all_reduce", "all_gather", "reduce_scatter")
    script = " && ".join(f"{lab.rank} {collective} {SIZES}" for collective in collectives)
    run = lab.run("chain:3", "sh", "-c", script, env={"NCCL_ALGO": "auto", "FAKECUDA_LOG": "3"}).ok()
    assert run.output.count("Out of bounds values : 0 OK") == len(collectives), run.text()
    run.says("AllGather PAT")
    run.says("ReduceScatter PAT")


@pytest.mark.nccl
@pytest.mark.parametrize("version", ["2.22.3", "2.32.3"])
def test_a_killed_rank_is_told_through_the_oldest_table_and_the_newest(lab, whole, version):
    need(version, whole)
    run, at = midway(lambda at: faulty(lab, TRAFFIC, options=["--kill", f"C@{at}s"], env={"RELAY_TEST_NCCL": version}),
                     "AB")
    check_told(run, at, 6, "AB")
    run.says(f"NCCL version {version}+cuda")
    # A kernel that is busy with the killed process's memory closes its sockets late.
    line = run.says("NCCL WARN NET/Relay", "connection with C")
    assert "the peer has ended" in line, line
