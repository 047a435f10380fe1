"""`nccl-relay perf` between hosts that each have an agent of their own, in a fabric that is discovered."""
import json

import pytest

SIZES = "-b 8 -e 16M -f 128 -n 1 -w 0 --channels 1"
MIB = 1 << 20


def perf(relay_lab, arguments, topology, **kwargs):
    """Right, by devices alone, and no packet that found no receive."""
    document, run = relay_lab.perf(arguments, topology, status=True, **kwargs)
    assert document["out_of_bounds"] == 0 and all(row["wrong"] == 0 for row in document["rows"]), document
    assert run.transports() and all(t.startswith("rxe_") for t in run.transports()), run.text()
    assert run.found_no_receive() == 0, run.counted
    assert all(run.counters(host)["relay_copied_bytes"] == 0 for host in run.outputs), run.text()
    return document, run


def through(run, host):
    return run.counters(host)["relayed_bytes"], run.counters(host)["relayed_packets"]


def test_all_reduce_is_right_on_a_chain(relay_lab):
    document, run = perf(relay_lab, f"all_reduce {SIZES}", "chain:3")
    sizes = [row["size"] for row in document["rows"]]
    assert sizes[0] == 8 and sizes[-1] == 16 * MIB, document
    paths = {(c.host, c.peer): c.path for c in run.connections()}
    assert paths["C", "A"] == "C cb--bc B ba--ab A", paths
    relayed, packets = through(run, "B")
    # What C sends on to A is two thirds of each size, twice: once to time, once to check.
    assert relayed > 20 * MIB and packets > 20 * MIB / (128 << 10), run.text()


def test_all_reduce_and_all_to_all_are_right_on_a_ring(relay_lab):
    perf(relay_lab, f"all_reduce {SIZES}", "ring:4")
    _, run = perf(relay_lab, "alltoall -b 1K -e 1M -f 32 -n 1 -w 0 --channels 1", "ring:4")
    paths = {(c.host, c.peer): c.path for c in run.connections()}
    assert len(paths) == 12 and paths["A", "C"].count("--") == 2 and paths["B", "D"].count("--") == 2, paths
    assert sum(through(run, host)[0] for host in "ABCD") > MIB, run.text()


def test_two_relays_in_a_row(relay_lab):
    _, run = perf(relay_lab, "all_reduce -b 8 -e 4M -f 64 -n 1 -w 0 --channels 1", "chain:4")
    assert ("D", "A", "D dc--cd C cb--bc B ba--ab A") in {c[:3] for c in run.connections()}, run.text()
    assert through(run, "B") == through(run, "C") and through(run, "B")[0] > 4 * MIB, run.text()


@pytest.mark.long
@pytest.mark.parametrize("host", ["A", "B"])
def test_where_one_host_does_without_all_go_over_tcp(relay_lab, host):
    """Its links are no RDMA links then, whoever's turn it is to say so."""
    hosts = {name: f"{name}: exec {relay_lab.relay} perf all_reduce -b 8 -e 64K -f 64 -n 1 --json" for name in "ABC"}
    hosts[host] = hosts[host].replace("exec", "export NCCL_RELAY_RDMA=off; exec")
    run = relay_lab.run("chain:3", *hosts.values()).ok()
    assert json.loads(run.says("A", '{"'))["out_of_bounds"] == 0
    expected = {("A", "B"): "tcp", ("B", "C"): "tcp" if host == "B" else "rxe_bc", ("C", "A"): "tcp"}
    assert {(c.host, c.peer): c.transport for c in run.connections()} == expected, run.text()


def test_two_processes_of_one_host_meet_at_its_device(relay_lab):
    ranks = (f"export WORLD_SIZE=2 LOCAL_WORLD_SIZE=2 MASTER_ADDR=127.0.0.1; perf='{relay_lab.relay} perf all_reduce -b 8 -e 1M -f 128 "
             "-n 1 -w 0 --channels 1 --json'; RANK=1 LOCAL_RANK=1 $perf & RANK=0 LOCAL_RANK=0 $perf && wait $!")
    run = relay_lab.run("chain:2", f"A: {ranks}").ok()
    document = json.loads(run.says("A", '{"'))
    assert document["out_of_bounds"] == 0, document
    assert run.transports() == {"rxe_ab"} and {c.path for c in run.connections()} == {"A"}, run.text()


def test_slots_go_through_a_device_that_reaches_itself_and_are_flushed(relay_lab):
    run = relay_lab.run("chain:2", f"A: exec {relay_lab.build}/test/gpu_slots --host").ok()
    assert json.loads(run.says("A", '{"')) == {"slots_bytes": 32 * MIB, "memory": "host", "loopback": "right", "verbs_device": "rxe_ab"}
