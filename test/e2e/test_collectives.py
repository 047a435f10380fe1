"""NVIDIA's own NCCL over fabrics in which not every node reaches every other."""
import itertools

import pytest

SIZES = "-b 8 -e 32M -f 4 -n 1 -w 0"
COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "broadcast", "reduce", "alltoall", "sendrecv")
MIB = 1 << 20


def cases():
    for topology, control, proto in itertools.product(("chain:3", "ring:4"), ("lan", "routes"), ("Simple", "LL")):
        yield topology, control, proto


def links(topology):
    return {"chain:3": ["ab", "bc"], "ring:4": ["ab", "bc", "cd", "da"]}[topology]


def check_evidence(run, topology, control):
    assert "NET/Relay" in run.output, run.text()
    run.says("via NET/Relay")
    run.says("Loaded net plugin Relay")
    assert "via NET/Socket" not in run.output
    for interfaces in run.counters.values():
        if control == "lan":
            lan = interfaces["ctl"]
            assert lan["tx_bytes"] < MIB, f"data went over the LAN: {run.counters}"
            assert interfaces["ip_forwarded"] == 0, f"the kernel forwarded: {run.counters}"


def moved(run, node, interface, direction):
    return run.counters[node][interface][direction + "_bytes"]


@pytest.mark.nccl
@pytest.mark.parametrize("topology,control,proto", cases())
def test_every_collective_is_right(lab, topology, control, proto):
    run = lab.nccl(topology, *(f"{c} {SIZES}" for c in COLLECTIVES), options=["--control", control],
                   env={"NCCL_PROTO": proto, "NCCL_ALGO": "Ring"})
    run.ok()
    assert run.output.count("Out of bounds values : 0 OK") == len(COLLECTIVES)
    check_evidence(run, topology, control)


@pytest.mark.nccl
@pytest.mark.parametrize("topology,control,proto", cases())
def test_tree_all_reduce_uses_the_diagonals_and_is_right(lab, topology, control, proto):
    run = lab.nccl(topology, f"all_reduce {SIZES}", options=["--control", control],
                   env={"NCCL_PROTO": proto, "NCCL_ALGO": "Tree"})
    run.ok()
    assert "Out of bounds values : 0 OK" in run.output
    check_evidence(run, topology, control)


@pytest.mark.nccl
@pytest.mark.parametrize("control", ["lan", "routes"])
def test_the_closing_edge_goes_through_the_relay_and_nowhere_else(lab, control):
    size, iterations = 16 * MIB, 4
    run = lab.nccl("chain:3", f"sendrecv -b {size} -e {size} -n {iterations} -w 0", options=["--control", control]).ok()
    check_evidence(run, "chain:3", control)
    # sendrecv is a ring: A to B, B to C, C to A. The last edge has no link: it crosses B on both.
    volume = size * iterations
    for node, interface, direction in [("A", "ab", "tx"), ("B", "bc", "tx"), ("C", "cb", "tx"), ("B", "ba", "tx")]:
        assert moved(run, node, interface, direction) > volume, (node, interface, run.counters)
    if control == "routes":
        # NCCL's bootstrap may cross B by IP; the data may not.
        assert run.counters["B"]["ip_forwarded"] * 9000 < volume / 4, run.counters


@pytest.mark.nccl
def test_two_ranks_on_each_node_share_its_agent(lab):
    run = lab.nccl("chain:3", f"all_reduce {SIZES}", f"alltoall {SIZES}", options=["--ranks-per-node", "2"],
                   env={"FAKECUDA_DEVICES": "2"})
    run.ok()
    assert run.output.count("Out of bounds values : 0 OK") == 2


@pytest.mark.nccl
def test_a_node_without_a_rank_relays(lab):
    run = lab.nccl("chain:3", f"all_reduce {SIZES}", options=["--ranks", "A,C"]).ok()
    assert "Out of bounds values : 0 OK" in run.output
    assert moved(run, "B", "ba", "rx") > 8 * MIB and moved(run, "B", "bc", "tx") > 8 * MIB


@pytest.mark.nccl
def test_one_node_talks_to_itself(lab):
    run = lab.nccl("chain:2", f"all_reduce {SIZES}", options=["--ranks", "A", "--ranks-per-node", "2"],
                   env={"NCCL_HOSTID": "", "FAKECUDA_DEVICES": "2", "NCCL_P2P_DISABLE": "1", "NCCL_SHM_DISABLE": "1"})
    run.ok()
    run.says("via NET/Relay")


@pytest.mark.nccl
def test_nccl_alone_fails_on_the_chain(lab):
    run = lab.nccl("chain:3", "all_reduce -b 8 -e 8", options=["--control", "none", "--timeout", "8"],
                   env={"NCCL_NET_PLUGIN": "none", "NCCL_NET": "Socket"})
    run.failed()
