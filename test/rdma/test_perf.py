"""`nccl-relay perf` between hosts that each have an agent of their own, in a fabric that is discovered."""

# What connections use.
TRANSPORT = "tcp"
SIZES = "-b 8 -e 16M -f 128 -n 1 -w 0 --channels 1"
MIB = 1 << 20


def test_all_reduce_is_right_on_a_chain(relay_lab):
    document, run = relay_lab.perf(f"all_reduce {SIZES}", "chain:3", status=True)
    assert document["out_of_bounds"] == 0 and all(row["wrong"] == 0 for row in document["rows"]), document
    sizes = [row["size"] for row in document["rows"]]
    assert sizes[0] == 8 and sizes[-1] == 16 * MIB, document
    assert run.transports() == {TRANSPORT}, run.text()
    paths = {(c.host, c.peer): c.path for c in run.connections()}
    assert paths["C", "A"] == "C cb--bc B ba--ab A", paths
    relayed = run.counters("B")
    assert relayed["relayed_bytes"] > 20 * MIB and relayed["relay_copied_bytes"] == 0, relayed
