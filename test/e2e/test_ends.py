"""How jobs end: a rank that leaves first, jobs beside and after each other, what is left, and an end at the worst time."""
import pathlib
import re
import subprocess

import pytest

from midway import midway

HERE = pathlib.Path(__file__).parent
SMALL = "all_reduce -b 8 -e 8 -n 1 -w 0"
RIGHT = "Out of bounds values : 0 OK"

# What one node sees of its own: every process, but neither the lab's first nor those that look.
OWN = ('own() { for p in /proc/[0-9]*; do if [ "$(readlink $p/ns/net)" = "$(readlink /proc/self/ns/net)" ]; then '
       'cat $p/comm; fi; done 2>/dev/null | grep -vxE "sh|cat|grep|readlink|sort|uniq"; }; ')

pytestmark = pytest.mark.nccl


@pytest.fixture
def runs(whole):
    return 200 if whole else 12


def check_silence(run):
    """Nobody saw an error."""
    run.ok()
    assert "NCCL WARN" not in run.output, run.text()


# In each, C's last message to A crosses B, whose own part is done earlier or at the same time.
CROSSING = [
    ("broadcast -r 1 -b 4M -e 4M", "Simple"),
    ("all_reduce -b 64K -e 1M -f 16", "Simple"),
    ("all_gather -b 256K -e 256K", "LL"),
    ("sendrecv -b 1M -e 1M", "Simple"),
]


def test_the_rank_in_the_middle_leaves_right_after_its_last_result(lab, runs):
    for i in range(runs):
        command, protocol = CROSSING[i % len(CROSSING)]
        run = lab.nccl("chain:3", f"{command} -n 1 -w 0", env={"NCCL_PROTO": protocol}, options=["--timeout", "60"])
        check_silence(run)
        assert RIGHT in run.output, run.text()


def test_the_rank_in_the_middle_leaves_without_a_word_after_its_last_result(lab, runs):
    """Its result is the last of all: that of a reduction to it. The others close their communicators after it is gone."""
    script = (f'[ $NCCL_HOSTID != B ] || leave=--exit-after-last; {lab.rank} reduce -r 1 -b 8 -e 1M -f 64 -n 1 -w 0 $leave')
    for _ in range(runs // 3):
        check_silence(lab.run("chain:3", "sh", "-c", script, options=["--timeout", "60"]))


def test_the_others_go_on_across_a_node_whose_rank_is_gone(lab):
    script = (f"{lab.rank} {SMALL} && {{ [ $NCCL_HOSTID = B ] || WORLD_SIZE=2 RANK=$((RANK / 2)) MASTER_PORT=29600 "
              f"{lab.rank} all_reduce -b 8 -e 4M -f 64 -n 1 -w 0; }}")
    run = lab.run("chain:3", "sh", "-c", script, options=["--timeout", "60"])
    check_silence(run)
    assert run.output.count(RIGHT) == 2, run.text()


def test_communicators_come_and_go_in_one_process(lab, build, tmp_path):
    """NCCL 2.28 forgets NCCL_NET_PLUGIN with the last communicator, and finds a plugin again by the usual name only."""
    (tmp_path / "libnccl-net.so").symlink_to(build / "libnccl-net-relay.so")
    run = lab.run("chain:3", "sh", "-c", f"LD_LIBRARY_PATH={tmp_path} {lab.rank} {SMALL} --communicators 4",
                  env={"NCCL_NET_PLUGIN": ""}, options=["--timeout", "60"])
    check_silence(run)
    assert run.output.count(RIGHT) == 4, run.text()
    run.had_agents("ABC", 1)  # one agent serves all of them


def test_jobs_one_after_the_other_share_an_agent(lab):
    run = lab.nccl("chain:3", SMALL, SMALL, SMALL, options=["--timeout", "60"])
    check_silence(run)
    assert run.output.count(RIGHT) == 3
    run.had_agents("ABC", 1)


def test_two_jobs_at_once_on_one_fabric(lab):
    job = f"{lab.rank} all_reduce -b 8 -e 4M -f 64 -n 2 -w 0"
    run = lab.run("chain:3", "sh", "-c", f"MASTER_PORT=29600 {job} & {job}; status=$?; wait $! && exit $status",
                  options=["--timeout", "60"])
    check_silence(run)
    assert run.output.count(RIGHT) == 2, run.text()
    run.had_agents("ABC", 1)


def test_only_the_agent_is_left_and_not_for_long(lab):
    script = (OWN + f"{lab.rank} {SMALL} && echo left $(own | sort | uniq -c) && "
              "for i in $(seq 80); do own | grep -q . || break; sleep 0.1; done; echo at the end: $(own)")
    run = lab.run("chain:3", "sh", "-c", script, env={"NCCL_RELAY_LINGER": "1"}, options=["--timeout", "60"]).ok()
    for node in "ABC":
        # A job's agent is the node's only one; that of another node is in another network namespace.
        assert re.search(rf"^{node}\| left 1 nccl-relay$", run.output, re.M), run.text()
        assert re.search(rf"^{node}\| at the end:$", run.output, re.M), run.text()
        assert "no client and no circuit for 1 s: this agent ends" in run.agent_logs[node]
    assert run.seconds < 20, run.text()


# An end at the worst time -------------------------------------------------------------------------------------------

HOP, RECOVER = 2, 3
LOADED = 12  # for set-up and end beside other labs
SHORT = {"NCCL_RELAY_CONNECT_TIMEOUT": "5", "NCCL_RELAY_HOP_TIMEOUT": str(HOP), "NCCL_RELAY_RECOVER_TIMEOUT": str(RECOVER),
         "NCCL_RELAY_LINGER": "2"}


@pytest.mark.parametrize("topology,receiver,interface", [("chain:2", "B", "ba"), ("chain:3", "C", "cb")],
                         ids=["direct", "relayed"])
def test_a_sender_whose_acknowledgement_is_lost_is_told(lab, build, guest, tmp_path, topology, receiver, interface):
    """From then on nothing leaves the receiver, though everything reaches it: it is done, and its peer cannot know."""
    plugin, handle = build / "libnccl-net-relay.so", tmp_path / "handle"
    script = (f'if [ $RANK = 0 ]; then {guest} {plugin} send {handle}; '
              f'else {guest} {plugin} receive {handle} "tc qdisc replace dev {interface} root blackhole"; fi; '
              'status=$?; echo ended with status $status; [ $RANK != 0 ] || exit $status')
    run = lab.run(topology, "sh", "-c", script, env=SHORT,
                  options=["--ranks", f"A,{receiver}", "--timeout", "40", "--grace", "20"])
    assert run.status == 3, run.text()
    run.says(f"{receiver}| received")
    run.says(f"{receiver}| ended with status 0")
    told = re.search(r"^A\| error after ([\d.]+) s", run.output, re.M)
    assert told and float(told[1]) < HOP + RECOVER + 3, run.text()
    run.says("A| NET/Relay test: connection with", "A ab--ba B")


@pytest.mark.parametrize("fault,link", [("--cut", "A-B"), ("--drop", "B-C")])
@pytest.mark.parametrize("later", [0, 0.11, 0.23])
def test_a_cut_at_any_moment_hangs_nobody(lab, fault, link, later):
    run, at = midway(lambda at: lab.nccl("chain:3", "fault -b 64K --timeout 40", env=SHORT, options=[
        fault, f"{link}@{at + later:.2f}s", "--timeout", "70", "--grace", "30"]), "ABC")
    assert run.seconds < at + HOP + RECOVER + LOADED, run.text()
    for node in "ABC":
        assert re.search(rf"^{node}\|.*NCCL WARN NET/Relay .*connection with", run.output, re.M), run.text()
    assert "via NET/Socket" not in run.output
