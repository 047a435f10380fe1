"""Faults under `nccl-relay perf` on real verbs: what has another way, or comes back in time, goes on; the rest ends in a sentence."""
import json

import pytest

ENDLESS = "pingpong -b 4K -e 4K -n 1000000 -w 0 -c 0 --channels 1 --timeout 100"
DEADLINES = {"NCCL_RELAY_HOP_TIMEOUT": "8", "NCCL_RELAY_RECOVER_TIMEOUT": "8", "NCCL_RELAY_CONNECT_TIMEOUT": "60"}
# A rank's script that tells, by the file $OUT/flowing, when its device has sent some hundred packets.
FLOWING = ("base=$(sent); (until [ $(($(sent) - base)) -gt 400 ]; do sleep 0.1; done; : >$OUT/flowing) & "
           "exec {relay} perf {arguments}")
SENT = "sent() {{ rdma statistic show link {device} | grep -o 'sent_pkts [0-9]*' | cut -d' ' -f2; }}; "


def ranks(lab, device, far):
    """Rank 0 on A sends by `device`; the other rank is on `far`."""
    return [f"A: {SENT.format(device=device)}{FLOWING.format(relay=lab.relay, arguments=ENDLESS)}",
            f"{far}: exec {lab.relay} perf {ENDLESS}"]


def test_a_killed_relay_ends_in_a_sentence(relay_lab):
    """There is no other way from A to C."""
    run = relay_lab.run("chain:3", *ranks(relay_lab, "rxe_ab/1", "C"), agents="B", env=DEADLINES,
                        faults=["kill-agent B@flowing"], grace=40).failed("A", "C")
    run.says("A", "WARN", "connection with C over", "ba", "the other end of a hop closed it", "see the logs of these nodes")


@pytest.mark.parametrize("link", ["A-B", pytest.param("B-C", marks=pytest.mark.long)])
def test_a_cut_cable_ends_in_a_sentence(relay_lab, link):
    run = relay_lab.run("chain:3", *ranks(relay_lab, "rxe_ab/1", "C"), agents="B", env=DEADLINES, faults=[f"cut {link}@flowing"],
                        grace=40).failed("A", "C")
    run.says("A", "to C")


@pytest.mark.long
def test_a_cut_cable_between_neighbours_ends_in_a_sentence(relay_lab):
    run = relay_lab.run("chain:2", *ranks(relay_lab, "rxe_ab/1", "B"), env=DEADLINES, faults=["cut A-B@flowing"],
                        grace=40).failed("A", "B")
    run.says("A", "rxe_ab")


def test_a_killed_rank_is_told_at_once(relay_lab):
    run = relay_lab.run("chain:3", *ranks(relay_lab, "rxe_ab/1", "C"), agents="B", env=DEADLINES, faults=["kill C@flowing"],
                        grace=5).failed("A")
    run.says("A", "C")


def test_a_cut_cable_of_a_ring_costs_a_moment(relay_lab):
    """The messages between its two ends go round by the other nodes, by their devices, and what was missing is sent again."""
    perf = "all_reduce -b 256K -e 256K -n 400 -w 0 -c 40 --channels 1 --timeout 60 --json"
    first = SENT.format(device="rxe_ab/1") + FLOWING.format(relay=relay_lab.relay, arguments=perf)
    run = relay_lab.run("ring:4", f"A: {first}", *[f"{node}: exec {relay_lab.relay} perf {perf}" for node in "BCD"],
                        env={"NCCL_DEBUG": "INFO"}, faults=["cut A-B@flowing"]).ok()
    assert json.loads(run.says("A", '{"'))["out_of_bounds"] == 0, run.text()
    run.says("A", "connection with B goes on over A", "D", "C")
    run.says("A", "connected to B: path A ad--da D dc--cd C cb--bc B, rxe_ad")


@pytest.mark.long
def test_a_silence_of_a_moment_costs_a_moment(relay_lab):
    """Shorter than the devices' patience: they send again by themselves."""
    perf = f"{relay_lab.relay} perf all_reduce -b 1M -e 1M -n 20 -w 0 --channels 1 --json"
    enough = "(until [ -e $OUT/loss.A-B ]; do sleep 0.1; done; sleep 1; : >$OUT/enough) & "
    first = SENT.format(device="rxe_ab/1") + enough + FLOWING.format(relay=relay_lab.relay, arguments=perf.split(" perf ")[1])
    run = relay_lab.run("chain:3", f"A: {first}", f"B: exec {perf}", f"C: exec {perf}",
                        faults=["loss A-B=100%@flowing", "heal A-B@enough"]).ok()
    assert json.loads(run.says("A", '{"'))["out_of_bounds"] == 0, run.text()


@pytest.mark.long
def test_a_lossy_link_does_no_harm(relay_lab):
    perf = f"exec {relay_lab.relay} perf all_reduce -b 1K -e 1M -f 32 -n 1 --json"
    run = relay_lab.run("chain:3", f"*: active loss.B-C; {perf}", faults=["loss B-C=1%@0s"]).ok()
    assert json.loads(run.says("A", '{"'))["out_of_bounds"] == 0, run.text()


@pytest.mark.long
def test_without_verbs_devices_it_goes_over_tcp(relay_lab):
    """The folder is covered for the rank and for the agent that its plugin starts."""
    hidden = f"mount -t tmpfs none /dev/infiniband; exec {relay_lab.relay} perf all_reduce -b 8 -e 1M -f 64 -n 1 --json"
    run = relay_lab.run("chain:3", f"*: unshare --mount sh -c '{hidden}'").ok()
    assert "rxe_" not in run.output and run.transports() == {"tcp"}, run.text()
