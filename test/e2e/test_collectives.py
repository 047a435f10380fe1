"""NVIDIA's own NCCL, of every version, over fabrics in which not every node reaches every other."""
import itertools

import pytest

from pairwise import pairs_of, pairwise, product

MIB = 1 << 20
SMALL = "-b 8 -e 2M -f 64 -n 1 -w 0"
SIZES = "-b 8 -e 32M -f 4 -n 1 -w 0"  # every one of them, on the version that is used most

VERSIONS = ("2.28.9", "2.22.3", "2.25.1", "2.27.7", "2.32.3")  # one for each of net v11, v8, v9, v10, v12
RING = ("all_reduce", "all_gather", "reduce_scatter", "broadcast", "reduce", "alltoall", "sendrecv")
OPERATIONS = (*RING, "all_reduce Tree", "all_gather PAT", "reduce_scatter PAT")
FACTORS = {"operation": OPERATIONS, "version": VERSIONS, "topology": ("chain:3", "ring:4", "star:4"),
           "proto": ("Simple", "LL"), "control": ("lan", "routes")}


def allowed(row):
    """PAT came with 2.23, and has one protocol."""
    return "PAT" not in row["operation"] or (row["version"] != "2.22.3" and row["proto"] == "Simple")


def runs(rows):
    """Rows that differ in nothing but their operation are one run of the lab."""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(value for factor, value in row.items() if factor != "operation"), []).append(row["operation"])
    return [pytest.param(*where, operations, id="-".join(where)) for where, operations in sorted(groups.items())]


def command(lab, operation, sizes):
    collective, _, algorithm = operation.partition(" ")
    return f"NCCL_ALGO={algorithm or 'Ring'} {lab.rank} {collective} {sizes}"


def check_evidence(run, control):
    run.says("via NET/Relay")
    run.says("Using network Relay")
    assert "via NET/Socket" not in run.output
    for interfaces in run.counters.values():
        if control == "lan":
            lan = interfaces["ctl"]
            assert lan["tx_bytes"] < MIB, f"data went over the LAN: {run.counters}"
            assert interfaces["ip_forwarded"] == 0, f"the kernel forwarded: {run.counters}"


def moved(run, node, interface, direction):
    return run.counters[node][interface][direction + "_bytes"]


def check_operations(lab, version, topology, proto, control, operations, sizes=SMALL):
    script = " && ".join(command(lab, operation, sizes) for operation in operations)
    run = lab.run(topology, "sh", "-c", script, options=["--control", control],
                  env={"NCCL_PROTO": proto, "RELAY_TEST_NCCL": version}).ok()
    assert run.output.count("Out of bounds values : 0 OK") == len(operations), run.text()
    run.says(f"NCCL version {version}+cuda")
    check_evidence(run, control)


@pytest.mark.nccl
@pytest.mark.parametrize("version,topology,proto,control,operations", runs(pairwise(FACTORS, allowed)))
def test_any_two_choices_go_together(lab, version, topology, proto, control, operations):
    check_operations(lab, version, topology, proto, control, operations)


@pytest.mark.nccl
@pytest.mark.parametrize("version,topology,proto,control,operations", runs(product(FACTORS, allowed)))
def test_all_choices_go_together(lab, whole, version, topology, proto, control, operations):
    if not whole:
        pytest.skip("the full product is for --whole")
    check_operations(lab, version, topology, proto, control, operations)


@pytest.mark.nccl
@pytest.mark.parametrize("topology,control,proto", itertools.product(("chain:3", "ring:4"), ("lan", "routes"), ("Simple", "LL")))
def test_every_collective_is_right_at_every_size(lab, whole, topology, control, proto):
    if not whole and (topology, control, proto) != ("chain:3", "lan", "Simple"):
        pytest.skip("one cell is enough but for --whole")
    operations = (*RING, "all_reduce Tree") if whole else ("all_reduce", "all_gather", "sendrecv")
    check_operations(lab, VERSIONS[0], topology, proto, control, operations, SIZES)


def test_the_choice_covers_every_pair():
    chosen, all_rows = pairwise(FACTORS, allowed), product(FACTORS, allowed)
    assert len(chosen) < len(all_rows) / 4
    assert set().union(*map(pairs_of, chosen)) == set().union(*map(pairs_of, all_rows))


@pytest.mark.nccl
@pytest.mark.parametrize("control", ["lan", "routes"])
def test_the_closing_edge_goes_through_the_relay_and_nowhere_else(lab, control):
    size, iterations = 16 * MIB, 4
    run = lab.nccl("chain:3", f"sendrecv -b {size} -e {size} -n {iterations} -w 0", options=["--control", control]).ok()
    check_evidence(run, control)
    # sendrecv is a ring: A to B, B to C, C to A. The last edge has no link: it crosses B on both.
    volume = size * iterations
    for node, interface, direction in [("A", "ab", "tx"), ("B", "bc", "tx"), ("C", "cb", "tx"), ("B", "ba", "tx")]:
        assert moved(run, node, interface, direction) > volume, (node, interface, run.counters)
    if control == "routes":
        # NCCL's bootstrap may cross B by IP; the data may not.
        assert run.counters["B"]["ip_forwarded"] * 9000 < volume / 4, run.counters


@pytest.mark.nccl
def test_two_ranks_on_each_node_share_its_agent(lab):
    run = lab.nccl("chain:3", f"all_reduce {SMALL}", f"alltoall {SMALL}", options=["--ranks-per-node", "2"],
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
    """The ranks meet over the LAN, and NCCL is left with the cables."""
    run = lab.nccl("chain:3", "all_reduce -b 8 -e 8", options=["--timeout", "10", "--grace", "10"],
                   env={"NCCL_NET_PLUGIN": "none", "NCCL_NET": "Socket", "NCCL_SOCKET_IFNAME": "^ctl,lo"})
    run.failed().says("Network is unreachable")
