"""The real NCCL over the plugin, on hosts that are joined by verbs devices and bootstrap over a control network."""
import pytest

SIZES = "-b 8 -e 2M -f 64 -n 1 -w 0"


def right(run, commands):
    """Every result, by devices alone."""
    run.ok().says("A", "Using network Relay")
    assert run.outputs["A"].count("Out of bounds values : 0 OK") == len(commands), run.text()
    assert run.transports() and all(t.startswith("rxe_") for t in run.transports()), run.text()
    return run


@pytest.mark.long
@pytest.mark.parametrize("operation", ["all_gather -b 1K -e 1M -f 32", "alltoall -b 1K -e 256K -f 16"])
def test_other_collectives_on_a_chain(nccl_lab, operation):
    right(nccl_lab.nccl("chain:3", f"{operation} -n 1 -w 0"), [operation])


def test_an_all_reduce_on_a_chain(nccl_lab):
    run = right(nccl_lab.nccl("chain:3", f"all_reduce {SIZES}", status=True), ["all_reduce"])
    assert ("C", "A", "C cb--bc B ba--ab A") in {connection[:3] for connection in run.connections()}, run.text()
    relayed = run.counters("B")
    assert relayed["relayed_packets"] > 0 and relayed["relay_copied_bytes"] == 0, relayed


def test_all_to_all_crosses_the_diagonals_of_a_ring(nccl_lab):
    run = right(nccl_lab.nccl("ring:4", "alltoall -b 1K -e 64K -f 8 -n 1 -w 0", status=True), ["alltoall"])
    assert sum(run.counters(host)["relayed_packets"] for host in "ABCD") > 0, run.text()


@pytest.mark.long
def test_other_algorithms_on_a_ring(nccl_lab):
    commands = ["all_gather -b 1K -e 256K -f 16 -n 1 -w 0", "all_reduce -b 8 -e 256K -f 64 -n 1 -w 0"]
    script = " && ".join(f"NCCL_ALGO={algorithm} {nccl_lab.rank} {command}" for algorithm, command in zip(["Ring", "Tree"], commands))
    right(nccl_lab.run("ring:4", f"*: {script}"), commands)
