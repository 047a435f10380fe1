"""For contrast: NCCL's own IB transport with the same devices, between neighbours."""
import pytest

SIZES = "-b 8 -e 2M -f 64 -n 1 -w 0"
# 2.28.9 crashes in its own code after it has found a verbs device that is not Mellanox's.
VERSION = "2.22.3"
pytestmark = pytest.mark.long


@pytest.fixture
def ib_lab(nccl_lab):
    nccl_lab.env.update(NCCL_NET_PLUGIN="none", NCCL_NET="IB", NCCL_GIN_ENABLE="0")
    return nccl_lab


def test_between_neighbours_it_works(ib_lab):
    run = ib_lab.nccl("chain:2", f"all_reduce {SIZES}", env={"RELAY_TEST_NCCL": VERSION}).ok()
    run.says("A", "Out of bounds values : 0 OK")
    run.says("A", "via NET/IB/0")


@pytest.mark.parametrize("topology, algorithm", [("chain:3", "Ring"), ("ring:4", "Ring"), ("ring:4", "Tree")])
def test_where_a_node_has_two_neighbours_it_does_not(ib_lab, topology, algorithm):
    """It takes a device by its number, not by who is behind it: no queue pair reaches a host that is on no wire of its own."""
    env = {"RELAY_TEST_NCCL": VERSION, "NCCL_IB_MERGE_NICS": "0", "NCCL_ALGO": algorithm}  # merged, devices without a PCI path crash it
    run = ib_lab.nccl(topology, f"all_reduce {SIZES}", env=env).failed()
    assert "Call to ibv_modify_qp failed with error Connection timed out" in run.output, run.text()
