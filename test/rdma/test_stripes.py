"""Two cables between the same two hosts: the messages of a direct connection go over both."""
import re

MIB = 1 << 20


def test_all_reduce_uses_both_cables(relay_lab):
    document, run = relay_lab.perf("all_reduce -b 8 -e 16M -f 128 -n 1 -w 0 --channels 1", "ring:2")
    assert document["out_of_bounds"] == 0 and all(row["wrong"] == 0 for row in document["rows"]), document
    assert [row["size"] for row in document["rows"]][-1] == 16 * MIB, document
    assert {(c.host, c.peer): c.transport for c in run.connections()} == {("A", "B"): "rxe_ab", ("B", "A"): "rxe_ba"}, run.text()
    for host, peer, devices in ("A", "B", ("rxe_ab", "rxe_ab2")), ("B", "A", ("rxe_ba", "rxe_ba2")):
        assert f"rdma to {peer} over 2 links ({', '.join(devices)})" in run.outputs[host], run.text()
        # 16 MiB twice, once to time and once to check; soft-RoCE's packets are 4 KiB at most.
        carried = re.search(rf"(\d+) bytes by {devices[0]}, (\d+) by {devices[1]}", run.outputs[host])
        assert carried and all(int(n) > 8 * MIB for n in carried.groups()), run.text()
        for device in devices:
            assert run.counted[device]["sent_pkts"] > 8 * MIB / 4096, run.text()
    assert run.found_no_receive() == 0, run.counted
