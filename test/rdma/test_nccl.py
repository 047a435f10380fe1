"""The real NCCL over the plugin, on hosts that are joined by verbs devices and bootstrap over a control network."""
import pytest

SIZES = "-b 8 -e 2M -f 64 -n 1 -w 0"


@pytest.mark.parametrize("version", ["2.22.3"])
def test_all_reduce_on_a_chain(nccl_lab, version):
    run = nccl_lab.nccl("chain:3", f"all_reduce {SIZES}", env={"RELAY_TEST_NCCL": version}).ok()
    run.says("A", "Out of bounds values : 0 OK")
    run.says("A", "Using network Relay")
    assert ("C", "A", "C cb--bc B ba--ab A") in {connection[:3] for connection in run.connections()}, run.text()
