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
