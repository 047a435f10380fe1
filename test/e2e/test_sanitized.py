"""The real NCCL, and perf, through a plugin and agents built with a sanitizer. A report is a failure: see conftest.py."""
import pathlib
import re

import pytest

from midway import midway
from perf_lab import PerfLab

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
    """B's rank starts another agent, and what went through the first goes on until the ranks have had enough."""
    for at in (6, 20):
        run = lab.nccl("chain:3", f"fault -b 64K --timeout {at + 6}", env=SANITIZERS,
                       options=["--kill-agent", f"B@{at}s", "--timeout", "90", "--grace", "20"])
        run.clean()
        killed = run.output.find(f"lab: kill-agent B@{at}s\n")
        if all(0 <= run.output.find(f"{node}| rank") < killed for node in "ABC"):
            break
    else:
        raise AssertionError(f"20 s were not enough to set up\n{run.text()}")
    assert run.status != 124, run.text()
    for node in "AC":
        assert re.search(rf"^{node}\|.* connection with [AC] goes on over", run.output[killed:], re.M), run.text()
        assert re.search(rf"^{node}\|.*fault: no error in", run.output, re.M), run.text()


@pytest.mark.nccl
def test_a_killed_peer_without_a_report(lab):
    run, _ = midway(lambda at: lab.nccl("chain:3", "fault", env={**SANITIZERS, "NCCL_RELAY_RECOVER_TIMEOUT": "4"}, options=[
        "--kill", f"C@{at}s", "--timeout", "60", "--grace", "20"]), "AB", times=(8, 20))
    run.clean()


AGAIN = {"NCCL_NET_PLUGIN_REF_COUNT": "1"}


@pytest.fixture
def all_seen(lab):
    """NCCL makes a comm on one of its threads and gives it to another, by means that ThreadSanitizer does not see."""
    if lab.build.name == "tsan":
        pytest.skip("not with the thread sanitizer: NCCL's own synchronization is not instrumented")


@pytest.mark.nccl
@pytest.mark.parametrize("command", ["abort -r 1 --hold 0.3 -e 256K", "many --at-once 2 -n 1 -e 64K"])
def test_communicators_that_are_aborted_or_many_without_a_report(lab, all_seen, command):
    run = lab.nccl("chain:3", command, options=["--timeout", "200"], env={**SANITIZERS, **AGAIN})
    run.ok().clean()
    assert f"# {command.split()[0]}: 0 wrong elements" in run.output


@pytest.mark.nccl
@pytest.mark.parametrize("command", ["absent -r 2 -e 64K", "abort_in_init -r 1 --hold 0.3 -e 64K"])
def test_starts_that_are_aborted_without_a_report(lab, all_seen, command):
    """NCCL itself leaks its communicator then: of leaks only those of the plugin are judged."""
    env = {**SANITIZERS, **AGAIN, "NCCL_OOB_NET_ENABLE": "1"}
    env["LSAN_OPTIONS"] += ":exitcode=0"
    run = lab.nccl("chain:3", command, options=["--timeout", "200"], env=env).ok()
    assert f"# {command.split()[0]}: 0 wrong elements" in run.output
    for word in ("ERROR: AddressSanitizer", "ThreadSanitizer", "runtime error:"):
        assert word not in run.text(), run.text()
    assert not re.search(r"#\d+ 0x[0-9a-f]+ in relay::", run.output), run.text()


# Without NCCL everything is instrumented but the C library: every race between what NCCL's threads do is seen.
INSTRUMENTED = {name: value for name, value in SANITIZERS.items() if name != "TSAN_OPTIONS"}


def perf(build, arguments, **kwargs):
    return PerfLab(build).perf(f"{arguments} --timeout 60", env=INSTRUMENTED, **kwargs).run.ok().clean()


@pytest.mark.parametrize("abi", [f"v{n}" for n in range(6, 13)])
def test_every_table_without_a_report(build, abi):
    perf(build, f"all_reduce --abi {abi} -b 8 -e 2M -f 64 -n 1 -w 0")


@pytest.mark.parametrize("arguments", ["all_reduce --proto ll", "all_reduce --proto ll128", "all_gather --algo pat --flush",
                                       "all_reduce --algo tree", "alltoall --channels 4"])
def test_every_pattern_without_a_report(build, arguments):
    perf(build, f"{arguments} -b 4K -e 2M -f 512 -n 2 -w 0")


@pytest.mark.parametrize("abi", ["v6", "v12"])
def test_ends_with_requests_in_flight_without_a_report(build, abi):
    perf(build, f"teardown --abi {abi} -e 4M -n 5")


CUTS = [f"--{kind} {link}@{at}s" for link, cut in (("A-B", 2), ("C-D", 4.5)) for kind, at in (("cut", cut), ("heal", cut + 1.5))]


@pytest.mark.parametrize("arguments", ["all_reduce -b 256K -e 256K --seconds 7 -c 5", "all_reduce --fresh -b 64K -e 64K --seconds 7",
                                       "teardown -e 1M -n 50"])
def test_circuits_that_break_without_a_report(build, arguments):
    """Traffic, beginnings and ends, and memory that is given back at once, while connections go from one path to another."""
    options = ["--discover", "--timeout", "100", *" ".join(CUTS).split()]
    done = perf(build, arguments, topology="ring:4", options=options)
    assert "did not come" not in (done.output.split("heal")[0] if "-n" in arguments.split() else done.output), done.text()
