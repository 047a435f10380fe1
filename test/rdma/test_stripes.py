"""Two cables between the same two hosts: the messages of a direct connection go over both."""
import json
import re

MIB = 1 << 20
# What soft-RoCE counts; each host names its own devices.
COUNT = "rdma statistic show link"


def sent(text, device):
    """Packets before and after."""
    return [int(n) for n in re.findall(rf"link {device}/1 .*?sent_pkts (\d+)", text)]


def test_all_reduce_uses_both_cables(relay_lab):
    perf = f"{relay_lab.relay} perf all_reduce -b 8 -e 16M -f 128 -n 1 -w 0 --channels 1 --json"
    run = relay_lab.run("ring:2", f"*: {COUNT} && {perf} && {COUNT}", status=True).ok()
    document = json.loads(run.says("A", '{"'))
    assert document["out_of_bounds"] == 0 and all(row["wrong"] == 0 for row in document["rows"]), document
    assert [row["size"] for row in document["rows"]][-1] == 16 * MIB, document
    assert {(c.host, c.peer): c.transport for c in run.connections()} == {("A", "B"): "rxe_ab", ("B", "A"): "rxe_ba"}, run.text()
    for host, peer, devices in ("A", "B", ("rxe_ab", "rxe_ab2")), ("B", "A", ("rxe_ba", "rxe_ba2")):
        assert f"rdma to {peer} over 2 links ({', '.join(devices)})" in run.outputs[host], run.text()
        # 16 MiB twice, once to time and once to check; soft-RoCE's packets are 4 KiB at most.
        carried = re.search(rf"(\d+) bytes by {devices[0]}, (\d+) by {devices[1]}", run.outputs[host])
        assert carried and all(int(n) > 8 * MIB for n in carried.groups()), run.text()
        for device in devices:
            before, after = sent(run.outputs[host], device)
            assert after - before > 8 * MIB / 4096, f"{device}: {before} to {after}\n{run.text()}"
    counted = re.findall(r"rnr\w* (\d+)", run.outputs["A"])
    assert counted and not any(int(n) for n in counted), run.text()
