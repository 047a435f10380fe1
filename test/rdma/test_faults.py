"""Faults under `nccl-relay perf` on real verbs: what has another way, or comes back in time, goes on; the rest ends in a sentence."""
import pytest

# Each rank has a moment for its own sentence when the other has ended.
ENDLESS = "pingpong -b 4K -e 4K -n 1000000 -w 0 -c 0 --channels 1 --timeout 100 --patience 20"
DEADLINES = {"NCCL_RELAY_HOP_TIMEOUT": "8", "NCCL_RELAY_RECOVER_TIMEOUT": "8", "NCCL_RELAY_CONNECT_TIMEOUT": "60"}
# The management LAN, which joins all hosts, is the other way of hosts that have lost their last cable.
CABLES_ALONE = {"NCCL_RELAY_IFNAME": "^ctl"}
# When messages flow: a hello of agents is a packet, and so is each of the first messages.
FLOWING = "ab:300"


def endless(lab, topology, far, fault, grace=40, env=None):
    """Rank 0 on A and the other on `far` send each other messages until the fault ends them; where B is neither, it relays."""
    script = f"exec {lab.relay} perf {ENDLESS}"
    return lab.run(topology, f"A: {script}", f"{far}: {script}", agents="B" if far != "B" else "", env={**DEADLINES, **(env or {})},
                   faults=[f"{fault}@{FLOWING}"], grace=grace)


def test_a_killed_relay_ends_in_a_sentence(relay_lab):
    """There is no other way from A to C."""
    run = endless(relay_lab, "chain:3", "C", "kill-agent B").failed("A", "C")
    run.says("A", "WARN", "connection with C over", "ba", "the other end of a hop closed it", "see the logs of these nodes")


@pytest.mark.parametrize("link", ["A-B", pytest.param("B-C", marks=pytest.mark.long)])
def test_a_cut_cable_ends_in_a_sentence(relay_lab, link):
    """The management LAN is no way either: B, which has a cable left, does not listen there."""
    run = endless(relay_lab, "chain:3", "C", f"cut {link}").failed("A", "C")
    run.says("A", "WARN", "connection with C over")


@pytest.mark.long
def test_a_cut_cable_between_neighbours_ends_in_a_sentence(relay_lab):
    """Whichever of the two connections is told of first: one end's queue pair failed, the other's fell silent."""
    run = endless(relay_lab, "chain:2", "B", "cut A-B", env=CABLES_ALONE).failed("A", "B")
    run.says("A", "WARN", "connection with B over", "check the cables", "no carrier")
    run.says("B", "WARN", "connection with A over", "check the cables", "no carrier")


def test_a_cut_cable_between_neighbours_goes_on_over_the_management_lan(relay_lab):
    """A link of last resort is better than none, and the job is told that it crawls."""
    document, run = relay_lab.perf("all_reduce -b 64K -e 64K -n 150 -w 0 -c 5 --channels 1", "chain:2", faults=[f"cut A-B@{FLOWING}"])
    assert document["out_of_bounds"] == 0, run.text()
    run.says("A", "connection with B goes on over A ctl--ctl B")
    run.says("A", "WARN", "B is reached from A by a last resort, because no cable leads there")
    assert run.transports() == {"rxe_ab", "rxe_ba", "tcp"}, run.text()


def test_a_killed_rank_is_told_at_once(relay_lab):
    """By its agent, which lives: the deadline for another way, which is far off, has no part in it."""
    run = endless(relay_lab, "chain:3", "C", "kill-ranks C", env={"NCCL_RELAY_RECOVER_TIMEOUT": "3600"}).failed("A")
    run.says("A", "WARN", "connection with C over", "the process on C")


def test_a_cut_cable_of_a_ring_costs_a_moment(relay_lab):
    """The messages between its two ends go round by the other nodes, by their devices, and what was missing is sent again."""
    document, run = relay_lab.perf("all_reduce -b 256K -e 256K -n 20 -w 0 -c 4 --channels 1", "ring:4", faults=[f"cut A-B@{FLOWING}"])
    assert document["out_of_bounds"] == 0, run.text()
    run.says("A", "connection with B goes on over A", "D", "C")
    run.says("A", "connected to B: path A ad--da D dc--cd C cb--bc B, rxe_ad")


@pytest.mark.long
def test_a_silence_of_a_moment_costs_a_moment(relay_lab):
    """Shorter than the devices' patience: they send again by themselves. On a slow machine the moment may be too long for
    the agents, and the connection goes on over another circuit: that proves nothing of devices, and is tried again."""
    perf = f"exec {relay_lab.relay} perf all_reduce -b 1M -e 1M -n 10 -w 0 --channels 1 --json"
    for _ in range(3):
        run = relay_lab.run("chain:3", f"A: (active loss.A-B sleep 1; : >$OUT/enough) & {perf}", f"*: {perf}",
                            faults=[f"loss A-B=100%@{FLOWING}", "heal A-B@enough"]).ok()
        assert run.document()["out_of_bounds"] == 0
        if " goes on over " not in run.output:
            break
    assert run.sent_again() > 0, run.counted


@pytest.mark.long
def test_a_lossy_link_does_no_harm(relay_lab):
    perf = f"{relay_lab.relay} perf all_reduce -b 1K -e 1M -f 32 -n 1 --json"
    run = relay_lab.run("chain:3", f"*: active loss.B-C {perf}", faults=["loss B-C=1%@0s"]).ok()
    assert run.document()["out_of_bounds"] == 0 and run.sent_again() > 0, run.counted


@pytest.mark.long
def test_without_verbs_devices_it_goes_over_tcp(relay_lab):
    """The folder is covered for the rank and for the agent that its plugin starts."""
    hidden = f"mount -t tmpfs none /dev/infiniband; exec {relay_lab.relay} perf all_reduce -b 8 -e 1M -f 64 -n 1 --json"
    run = relay_lab.run("chain:3", f"*: unshare --mount sh -c '{hidden}'").ok()
    assert "rxe_" not in run.output and run.transports() == {"tcp"}, run.text()
