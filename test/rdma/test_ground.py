"""The ground that the other tests stand on: soft-RoCE between neighbours, and between nobody else, with and without faults."""
import pytest

from shape import Shape
from verbs import pair

CHAIN = Shape("chain:3")
pytestmark = pytest.mark.long


def test_all_neighbours_talk_at_once(lab):
    toB, fromA = pair(CHAIN, "A", "B", "ibv_rc_pingpong", "-c -e -n 200")
    toC, fromB = pair(CHAIN, "B", "C", "ibv_rc_pingpong", "-c -e -n 200")
    run = lab.run("chain:3", f"A: {toB}", f"B: {fromA} & first=$!; {toC} && wait $first", f"C: {fromB}").ok()
    assert run.output.count("200 iters in") == 4, run.text()


def test_rdma_writes_between_neighbours(lab):
    near, far = pair(CHAIN, "B", "C", "ib_write_bw", "-F -s 65536 -n 200")
    run = lab.run("chain:3", f"B: {near}", f"C: {far}").ok()
    assert float(run.says("B", "65536  ").split()[3]) > 0, run.text()


def test_hosts_without_a_common_cable_do_not_reach_each_other(lab):
    """They do by IP, over the control network; their verbs devices must not find a way there."""
    run = lab.run("chain:3", f"A: active ac ibv_rc_pingpong -d rxe_ab -g $(gid rxe_ab) {CHAIN.control_address('C')}",
                  "C: passive ac 18515 ibv_rc_pingpong -d rxe_cb -g $(gid rxe_cb)").failed("A", "C")
    run.says("C", "Failed to modify QP to RTR")


def test_a_link_that_is_healed_works_as_before(lab):
    near, far = pair(CHAIN, "A", "B", "ibv_rc_pingpong", "-c -e -n 100")
    faults = ["cut A-B@0s", "loss A-B=100%@cut.A-B", "heal A-B@loss.A-B"]
    lab.run("chain:3", f"A: active heal.A-B {near}", f"B: active heal.A-B {far}", faults=faults).ok()


def test_what_is_lost_is_sent_again(lab):
    """Both ends stay until both are done, which a pingpong of ibv_rc_pingpong does not: soft-RoCE asks an end that is gone for its
    last acknowledgement without limit."""
    near, far = pair(CHAIN, "A", "B", "ib_send_bw", "-F -s 16384 -n 300", through="control")
    run = lab.run("chain:3", f"A: active loss.A-B {near}", f"B: active loss.A-B {far}", faults=["loss A-B=2%@0s"]).ok()
    run.says("A", "16384 ", " 300 ")
    assert run.sent_again() > 0, run.counted


def test_each_host_sees_its_own_devices(lab):
    run = lab.run("chain:3", "*: ibv_devices | awk 'NR > 2 {print $1}'").ok()
    for host in CHAIN.hosts:
        assert sorted(run.outputs[host].split()) == sorted(port.device for port in CHAIN.ports(host)), run.text()
