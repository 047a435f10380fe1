"""The fault matrix, and the same faults under the real NCCL where the design promises most."""
import pathlib
import re

import pytest

import cell
import matrix
import run as runner

# Repetitions wait first: the fault comes between the first and the last of them.
STEADY = "all_reduce -b 1M -e 1M -n 40 -w 0 --hold 0.1 --timeout 40"


def knobs(fault):
    return {f"NCCL_RELAY_{name}{'' if name == 'LINGER' else '_TIMEOUT'}": str(s) for name, s in matrix.knobs(fault).items()}


def pytest_generate_tests(metafunc):
    if "chosen" in metafunc.fixturenames:
        cells = runner.choose(metafunc.config.getoption("--whole"))
        metafunc.parametrize("chosen", cells, ids=[c.name.replace(" ", "-") for c in cells])


def test_the_cell_is_as_the_table_says(build, chosen, tmp_path):
    played = chosen.play(build, tmp_path)
    assert not played.verdict, f"{played.verdict}\n{pathlib.Path(played.log).read_text(errors='replace')}"


@pytest.mark.long
def test_a_receiver_that_posts_a_minute_late_is_waited_for_with_the_knobs_as_they_are(build, tmp_path):
    command = (f"exec {build}/nccl-relay perf sendrecv --seconds 1 -b 1M -e 1M --gap --json --timeout 120 "
               "$([ $RANK != 1 ] || echo --late 60)")
    options = ["--discover", "--timeout", "150"]
    run = cell.lab_run(build, tmp_path, "chain:3", options, command, {"NCCL_NET_PLUGIN": build / "libnccl-net-relay.so"})
    document = run.document()
    assert run.status == 0 and document["wrong"] == 0, run.text()
    assert document["longest_gap_s"] > 55, run.text()


# Real NCCL -----------------------------------------------------------------------------------------------------------

def played(lab, topology, fault, command, extra=(), meant=lambda run: True):
    """Repeated until the fault comes when every rank is set up and none has ended, and hits what is meant: sooner or later,
    as the runs before tell."""
    at, early, late = 2.5, 0, None
    for _ in range(8):
        faults = [word for option in matrix.options(fault, at) for word in option.split()]
        # Line by line: what was said before the fault stands before it.
        run = lab.run(topology, "sh", "-c", f"exec stdbuf -oL {lab.rank} {command}", env=knobs(fault),
                      options=["--timeout", "120", "--grace", "30", *faults, *extra])
        assert run.status != 124, run.text()
        over = "did not come" in run.output
        came = run.output.find("lab: " + faults[0].removeprefix("--"))
        ready = run.output.rfind("Init COMPLETE")
        if not over and 0 <= ready < came:
            if meant(run):
                return run
        elif over:
            late = at
        else:
            early = at
        at = (early + late) / 2 if late else max(at, 1.6 * early)
    raise AssertionError(f"the fault never came at its time: last after {at:.1f} s\n{run.text()}")


def crosses_b(run):
    """Of two equal paths a connection takes the nearer one, by microseconds."""
    return re.search(r"connected to .*: path \w+ .* B .* \w+", run.output)


@pytest.mark.nccl
@pytest.mark.parametrize("fault", ["cut", "flap", "relay-kill"])
def test_nccl_goes_on(lab, fault):
    relayed = fault in matrix.RELAYED
    extra = ["--ranks", "A,C,D", "--agents", "all"] if relayed else []
    run = played(lab, "ring:4", fault, STEADY, extra, crosses_b if relayed else lambda run: True).ok()
    assert run.output.count("Out of bounds values : 0 OK") == 1, run.text()
    for interfaces in run.counters.values():
        assert interfaces["ctl"]["tx_bytes"] < cell.MIB, run.counters


@pytest.mark.nccl
def test_nccl_is_told_where_no_path_is_left(lab):
    """nccl_perf's `fault` ends with 0 when NCCL reports an error in time."""
    within = matrix.KNOBS["RECOVER"] + cell.BUSY
    run = played(lab, "chain:3", "cut", f"fault -b 1M --timeout {10 + within}").ok()
    told = re.findall(r"^([ABC])\| rank \d: fault: [1-9]\d* operations, then error \d+ ", run.output, re.M)
    assert set(told) == set("ABC"), run.text()
    run.says("NCCL WARN NET/Relay", "check the cable of link")
