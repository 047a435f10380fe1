"""Ports with jumbo frames, and something between them that passes less: small packets go through, large ones vanish."""
import re

import pytest
from perf_lab import PerfLab

JUMBO = ["--discover", "--mtu", "9000", "--agents", "all", "--timeout", "90"]
SIZES = "-b 8 -e 8M -f 128 -n 3 -w 0"


@pytest.fixture
def box(build):
    return PerfLab(build)


def test_a_job_works_over_a_switch_that_passes_less_and_everybody_is_told(box):
    perf = box.perf(f"all_reduce {SIZES}", "chain:3",
                    options=[*JUMBO, "--ranks", "A,C", "--narrow", "A-B=1500@0s", "--narrow", "B-C=1500@0s"])
    assert perf.right()["out_of_bounds"] == 0
    narrow = r"of the packets of up to 9000 bytes \(its MTU\) that {} may send, none longer than 1500 comes to {}: "
    for node, far in (("A/ab", "B/ba"), ("B/ba", "A/ab"), ("B/bc", "C/cb"), ("C/cb", "B/bc")):
        assert re.search("WARN link .*" + narrow.format(far, node), perf.run.agent_logs[node[0]]), perf.run.text()
    # Whoever opens the circuit has it in the log that he is looking at.
    for node, far in (("A/ab", "B/ba"), ("C/cb", "B/bc")):
        assert re.search(f"^{node[0]}. NCCL.*" + narrow.format(far, node), perf.run.output, re.M), perf.run.text()


def test_ports_that_pass_what_they_say_are_not_spoken_of(box):
    perf = box.perf(f"all_reduce {SIZES}", "chain:3", options=[*JUMBO, "--ranks", "A,C"])
    assert perf.right()["out_of_bounds"] == 0
    assert "MTU" not in perf.run.text()


def test_discovery_says_what_passes(box):
    script = f"sleep 4; {box.build}/nccl-relay discovery"
    run = box.run("chain:2", "sh", "-c", script, options=[*JUMBO, "--narrow", "A-B=1400@0s"]).ok()
    assert "of whose packets of up to 9000 bytes none longer than 1280 arrives" in run.output, run.text()


def test_a_way_that_passes_large_packets_no_more_ends_the_job_and_the_mtu_is_named(box):
    """Smaller than any size that is tried, so that nothing can be done about it."""
    perf = box.perf("all_reduce -b 1M -e 1M --seconds 40", "chain:2", env={"NCCL_RELAY_RECOVER_TIMEOUT": "8"},
                    options=[*JUMBO, "--narrow", "A-B=700@3s"])
    run = perf.run.failed()
    assert re.search(r"connection with [AB] over .*: nothing that was sent has arrived for 8 s \(NCCL_RELAY_RECOVER_TIMEOUT\), "
                     r"though \d+ circuits were opened over (A ab--ba B|B ba--ab A) meanwhile: .*Compare the MTU", run.output), run.text()
    ended = [float(s) for s in re.findall(r"nothing had moved for ([\d.]+) s", run.output)]
    assert ended and max(ended) < 8 + 10, run.text()
