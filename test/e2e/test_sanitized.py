"""The real NCCL through a plugin and agents that were built with a sanitizer. A report is a failure: see conftest.py."""
import pathlib

import pytest

SUPPRESSIONS = pathlib.Path(__file__).with_name("lsan.supp")
SANITIZERS = {
    "LSAN_OPTIONS": f"suppressions={SUPPRESSIONS}:print_suppressions=0",
    # NCCL and the emulated kernels are not instrumented: only what the plugin does itself can be judged.
    "TSAN_OPTIONS": "ignore_noninstrumented_modules=1",
}
SIZES = "-b 8 -e 4M -f 32 -n 1 -w 0"


@pytest.mark.nccl
@pytest.mark.parametrize("topology,proto,algo", [("chain:3", "Simple", "Ring"), ("chain:3", "LL", "Ring"),
                                                 ("ring:4", "Simple", "allreduce:tree;broadcast:ring")])
def test_collectives_without_a_report(lab, topology, proto, algo):
    commands = [f"all_reduce {SIZES}", f"alltoall {SIZES}", f"broadcast {SIZES}"]
    run = lab.nccl(topology, *commands, options=["--timeout", "200"], env={**SANITIZERS, "NCCL_PROTO": proto, "NCCL_ALGO": algo})
    run.ok().clean()
    assert run.output.count("Out of bounds values : 0 OK") == len(commands)


@pytest.mark.nccl
def test_a_killed_relay_without_a_report(lab):
    run = lab.nccl("chain:3", "fault", options=["--kill-agent", "B@3s", "--timeout", "60", "--grace", "20"],
                   env=SANITIZERS)
    run.clean()
    run.says("relay")


@pytest.mark.nccl
def test_a_killed_peer_without_a_report(lab):
    run = lab.nccl("chain:3", "fault", options=["--kill", "C@3s", "--timeout", "60", "--grace", "20"],
                   env=SANITIZERS)
    run.clean()
