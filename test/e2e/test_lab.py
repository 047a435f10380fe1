"""Fabrics as users build them, numbered in every way that a kernel takes, and the faults of the lab, with the real NCCL."""
import json
import os
import re
import subprocess
import time

import pytest

from midway import midway

MIB = 1 << 20
SMALL = "all_reduce -b 8 -e 8 -n 1 -w 0"
BULK = "all_reduce -b 4M -e 4M -n 1 -w 0"
PATIENCE = {"NCCL_RELAY_CONNECT_TIMEOUT": "3", "NCCL_RELAY_HOP_TIMEOUT": "2", "NCCL_RELAY_RECOVER_TIMEOUT": "3"}

pytestmark = pytest.mark.nccl


def cases(default, more):
    """Parameters of a test; those of the second list only with --whole."""
    return [*default, *(pytest.param(*(c if isinstance(c, tuple) else (c,)), marks=pytest.mark.long) for c in more)]


def right(run, count=1):
    run.ok()
    assert run.output.count("Out of bounds values : 0 OK") == count, run.text()
    assert "via NET/Socket" not in run.output
    off_the_lan(run)
    return run


def off_the_lan(run):
    for interfaces in run.counters.values():
        assert interfaces["ctl"]["tx_bytes"] < MIB and interfaces["ctl"]["rx_bytes"] < MIB, run.counters


def sent(run, node, interface):
    return run.counters[node][interface]["tx_bytes"]


def carried(run, *ends):
    for end in ends:
        assert sent(run, *end.split("/")) > 4 * MIB, (end, run.counters)


def idle(run, *ends):
    for end in ends:
        assert sent(run, *end.split("/")) < MIB // 16, (end, run.counters)


# Places ------------------------------------------------------------------------------------------------------------

CHROOT = """set -e
mount -t tmpfs none $0
root=$0$1
for folder in bin dev etc home lib lib64 proc root run sbin sys tmp usr var $(echo $2 | cut -d/ -f2); do
  if [ -e /$folder ] && mkdir -p $root/$folder; then mount --rbind /$folder $root/$folder; fi
done
echo yes > $root/only-here
exec chroot $root sh -c "cd /usr/bin && exec $2 lab run chain:2 --agents none -- sh -c 'echo \\$(cat /only-here) \\$PWD \\$(ls /sys/class/net)'"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its root")
@pytest.mark.parametrize("below", ["", "/folder"], ids=["a mount of its own", "a folder of a mount"])
def test_a_lab_in_a_chroot_sees_what_is_there(lab, tmp_path, below):
    done = subprocess.run(["unshare", "--mount", "sh", "-c", CHROOT, str(tmp_path), below, lab.binary], capture_output=True,
                          text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert sorted(done.stdout.splitlines()) == ["A| yes /usr/bin ab ctl lo", "B| yes /usr/bin ba ctl lo"], done.stdout + done.stderr


# Addresses ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("style,wide,other", cases(
    [("per-pair", "ab2", "ab"), ("reused", "ab2", "ab"), ("reused", "ab", "ab2"), ("link-local", "ab2", "ab")],
    [("per-cable", "ab2", "ab"), ("shared", "ab2", "ab"), ("ula", "ab2", "ab"), ("per-pair", "ab", "ab2"),
     ("shared", "ab", "ab2"), ("link-local", "ab", "ab2")]))
def test_each_twin_is_its_own_cable(lab, style, wide, other):
    """The wider of two cables carries everything, also where the kernel's routes know only the first of them."""
    run = right(lab.nccl("ring:2", BULK, options=["--addresses", style, "--rate", "1gbit", "--rate", f"A/{wide}=2gbit"]))
    carried(run, f"A/{wide}", f"B/{wide.replace('ab', 'ba')}")
    idle(run, f"A/{other}", f"B/{other.replace('ab', 'ba')}")


@pytest.mark.parametrize("style", cases(["reused", "link-local"], ["shared", "ula"]))
def test_a_relay_serves_cables_of_any_addresses(lab, style):
    run = right(lab.nccl("chain:3", BULK, options=["--addresses", style]))
    carried(run, "A/ab", "B/ba", "B/bc", "C/cb")
    if style in ("ula", "link-local"):
        assert "10.77." not in run.text()


@pytest.mark.parametrize("strictness,style", cases([(1, "per-cable"), (2, "reused")], [(2, "shared")]))
def test_what_distributions_filter_is_not_in_the_way(lab, strictness, style):
    """rp_filter is 2 on Debian and Ubuntu, 1 on others; only the kernel itself has 0."""
    options = ["--addresses", style, "--sysctl", f"net.ipv4.conf.all.rp_filter={strictness}"]
    right(lab.nccl("ring:4", SMALL, options=options))


def test_strict_filtering_where_cables_share_a_subnet_is_told_with_its_remedy(lab):
    run = lab.nccl("ring:2", SMALL, env=PATIENCE, options=[
        "--addresses", "per-pair", "--rate", "1gbit", "--rate", "A/ab2=2gbit", "--sysctl", "net.ipv4.conf.all.rp_filter=1"])
    # The other cable serves, and why the wider one does not is said aloud.
    right(run).says("NCCL WARN", "path A ab2--ba2 B does not serve", "because ab is in the same subnet",
                    "set net.ipv4.conf.ab2.rp_filter=2")
    right(lab.nccl("ring:2", SMALL, env=PATIENCE, options=[
        "--addresses", "per-pair", "--rate", "1gbit", "--rate", "A/ab2=2gbit", "--sysctl", "net.ipv4.conf.all.rp_filter=1",
        "--sysctl", "net.ipv4.conf.default.rp_filter=2"]))


@pytest.fixture
def two_addresses(lab, tmp_path):
    """chain:3 with the same two addresses on each cable: B has them both."""
    def make(first, second):
        done = subprocess.run([lab.binary, "lab", "fabric", "chain:3"], capture_output=True, text=True, timeout=10, check=True)
        fabric = json.loads(done.stdout)
        firsts = [link["ends"][0] for link in fabric["links"]]
        for node in fabric["nodes"]:
            for port in node["ports"]:
                port["addresses"] = [first if f"{node['name']}/{port['name']}" in firsts else second]
        path = tmp_path / "two.json"
        path.write_text(json.dumps(fabric, indent=1))
        return str(path)
    return make


@pytest.mark.parametrize("first,second", cases([("fe80::1", "fe80::2")], [("fd00::1", "fd00::2")]))
def test_the_same_two_ipv6_addresses_on_every_cable(lab, two_addresses, first, second):
    carried(right(lab.nccl(two_addresses(first, second), BULK)), "A/ab", "B/ba", "B/bc", "C/cb")


def test_the_same_two_ipv4_addresses_on_every_cable_are_told_with_their_remedy(lab, two_addresses):
    """A kernel takes a packet from its own address for a lie, whichever interface it came by."""
    run = lab.nccl(two_addresses("10.0.0.1", "10.0.0.2"), SMALL, env=PATIENCE).failed()
    run.says("NCCL WARN NET/Relay", "from A to B", "B has 10.0.0.1 too, on bc", "give A/ab another one")


# The LAN and the cables --------------------------------------------------------------------------------------------

# What is sent to a port that nobody has is answered by the host that was reached.
REACH = """import socket
for source in ("0.0.0.0", "10.77.0.1"):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        try:
            s.bind((source, 0))
            s.connect(("10.77.0.6", 9))
            s.send(b"x")
            s.recv(1)
        except OSError as error:
            print(f"from {source}: {error.strerror}")
"""


@pytest.mark.parametrize("options,answer", [((), "Network is unreachable"), (("--control", "gateway"), "Connection refused")])
def test_only_the_gateway_leads_to_cables_that_a_node_does_not_share(lab, options, answer):
    """What the lab shows of NCCL alone rests on it: on a chain no kernel has a way from A to C's cable."""
    run = lab.run("chain:3", "python3", "-c", REACH, options=["--ranks", "A", "--agents", "none", *options]).ok()
    run.says(f"A| from 0.0.0.0: {answer}")
    run.says(f"A| from 10.77.0.1: {answer}")


# A default route over the LAN --------------------------------------------------------------------------------------

CALL = """import os, socket, time
if os.environ["NCCL_HOSTID"] == "B":
    server = socket.create_server(("10.77.0.2", 9999))
    server.settimeout(20)
    print("called from", server.accept()[1][0])
deadline = time.monotonic() + 20
while os.environ["NCCL_HOSTID"] == "A" and time.monotonic() < deadline:
    time.sleep(0.1)
    if open("/sys/class/net/ab/operstate").read() != "down\\n": continue
    try:
        print("called as", socket.create_connection(("10.77.0.2", 9999), timeout=5).getsockname()[0])
        break
    except ConnectionRefusedError:
        pass  # B is not there yet
"""


def test_the_gateway_would_take_what_a_cut_cable_should_have(lab):
    """What the next tests guard against does happen to a program that leaves the way to the kernel."""
    run = lab.run("chain:2", "python3", "-c", CALL, options=["--control", "gateway", "--agents", "none", "--cut", "A-B@50ms"])
    run.ok()
    run.says("A| called as 10.88.0.1")
    run.says("B| called from 10.88.0.1")


def test_a_cable_that_is_down_is_not_replaced_by_the_default_route(lab):
    run = lab.nccl("chain:3", SMALL, env=PATIENCE, options=["--control", "gateway", "--cut", "A-B@0s"]).failed()
    # As the kernel told the agent, or as it answered when the agent called.
    assert re.search(r"NCCL WARN NET/Relay.*no connection from A to B.*(link A-B .*is down|a link is down)", run.output), run.text()
    assert "Out of bounds values" not in run.output
    off_the_lan(run)
    idle(run, "A/ab", "B/ba")


def test_a_cable_that_goes_down_is_not_replaced_by_the_default_route(lab):
    def cut(at):
        return lab.run("chain:3", lab.rank, "fault", "-b", "1M", "--timeout", "12", env=PATIENCE, deadline=90,
                       options=["--timeout", "40", "--control", "gateway", "--cut", f"A-B@{at}s"])
    run, _ = midway(cut, "ABC")
    off_the_lan(run)
    carried(run, "A/ab", "B/bc")


# Faults and their ends ---------------------------------------------------------------------------------------------

STEADY = "all_reduce -b 64K -e 64K -n 12 -w 0 --hold 0.2"  # a word now and then


def all_came(run):
    assert not re.search(r"^lab: .*( did not come| failed: )", run.output, re.M), run.text()


def starting_late(lab, command, seconds):
    """Ranks that start when these seconds have passed."""
    return ("sh", "-c", f"sleep {seconds}; exec {lab.rank} {command}")


@pytest.mark.parametrize("style", cases(["link-local"], ["per-cable"]))
def test_a_healed_cable_serves_the_agents_that_saw_it_go(lab, style):
    run = right(lab.run("chain:3", *starting_late(lab, BULK, 1), env=PATIENCE, options=[
        "--addresses", style, "--agents", "all", "--cut", "A-B@100ms", "--heal", "A-B@500ms"]))
    carried(run, "A/ab", "B/ba")


@pytest.mark.parametrize("style", cases(["link-local"], ["per-cable"]))
def test_a_cable_that_is_down_hinders_no_connection_over_another(lab, style):
    """B's agent starts while one of its cables is down and has, with IPv6, no address."""
    run = right(lab.run("chain:3", *starting_late(lab, BULK, 0.5), env=PATIENCE, options=[
        "--addresses", style, "--ranks", "B,C", "--agents", "none", "--cut", "A-B@50ms"]))
    carried(run, "B/bc", "C/cb")


@pytest.mark.parametrize("style", cases(["link-local"], ["per-cable"]))
def test_agents_that_started_without_a_cable_use_it_when_it_is_back(lab, style):
    """Until then the other way round serves; then a new communicator takes the cable."""
    script = f"sleep 0.5; {lab.rank} {SMALL} && sleep 4 && exec {lab.rank} {BULK}"
    run = right(lab.run("ring:3", "sh", "-c", script, env={"NCCL_RELAY_CONNECT_TIMEOUT": "20"}, options=[
        "--addresses", style, "--agents", "none", "--cut", "A-B@50ms", "--heal", "A-B@3s"]), count=2)
    all_came(run)
    run.says("A|", "NCCL WARN", "path A ab--ba B does not serve")
    carried(run, "A/ab")


@pytest.mark.parametrize("fault", cases(["drop"], ["cut"]))
def test_a_short_interruption_is_a_pause(lab, fault):
    """Every repetition waits first, so the cable fails between the first and the last of them."""
    run = right(lab.nccl("chain:3", STEADY, options=[f"--{fault}", "A-B@1.5s", "--heal", "A-B@2.2s"]))
    all_came(run)


def test_a_stopped_node_goes_on_and_the_job_with_it(lab):
    run = right(lab.nccl("chain:3", STEADY, options=["--stop", "B@1.5s", "--cont", "B@3s"]))
    all_came(run)


def test_a_stopped_agent_is_waited_for(lab):
    start = time.monotonic()
    run = right(lab.nccl("chain:3", SMALL, env={"NCCL_RELAY_CONNECT_TIMEOUT": "20"},
                         options=["--ranks", "A,C", "--stop-agent", "B@0s", "--cont-agent", "B@2s"]))
    all_came(run)
    assert time.monotonic() - start > 2


def test_an_agent_is_asked_to_end_and_another_one_started(lab):
    """What it carries ends first: C talks to A through B until the job is over. The next job waits for the other agent."""
    job = f"{lab.rank} {SMALL}; sleep 4; {lab.rank} {SMALL}"
    run = right(lab.run("chain:3", "sh", "-c", job, options=["--ranks", "A,C", "--drain-agent", "B@1.5s", "--start-agent", "B@8s"]),
                count=2)
    all_came(run)
    assert run.agent_logs["B"].count("agent of node B") == 2, run.text()


@pytest.mark.parametrize("fault,value,options", [
    ("slow", "1%", ["--rate", "1gbit"]),
    ("loss", "1%", []),
    ("mtu-at", "1400", ["--mtu", "9000"]),
])
def test_a_bad_cable_is_slow_and_right(lab, fault, value, options):
    job = "all_reduce -b 64K -e 256K -f 4 -n 4 -w 0 --hold 0.1"
    run = right(lab.nccl("chain:3", job, options=[*options, f"--{fault}", f"A-B={value}@0s", "--heal", "A-B@30s"]))
    assert f"lab: {fault} A-B={value}@0s\n" in run.output, run.text()
    run.says("lab: heal A-B@30s did not come: the run was over")


FLOOD = """import os, socket, subprocess, time
me, other = ("10.77.0.1", "10.77.0.2") if os.environ["NCCL_HOSTID"] == "A" else ("10.77.0.2", "10.77.0.1")
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
s.bind((me, 9999))
s.settimeout(10)
got = 0
if me == "10.77.0.2":  # the one with the loss: it starts both when it is there
    end = time.monotonic() + 10
    while b"drop" not in subprocess.run(["nft", "list", "ruleset"], capture_output=True).stdout:
        assert time.monotonic() < end, "no loss within 10 s"
    s.settimeout(0.1)
    while got == 0:  # what finds out addresses may be lost, too
        assert time.monotonic() < end, "not heard within 10 s"
        s.sendto(b"go", (other, 9999))
        try:
            got = len(s.recv(100))
        except TimeoutError:
            pass
else:
    assert s.recv(100) == b"go"
s.settimeout(None)  # with one, recv() waits whatever its flags say
def drain():
    global got
    try:
        while s.recv(100, socket.MSG_DONTWAIT): got += 1
    except BlockingIOError:
        pass
for i in range(4000):
    s.sendto(b"x", (other, 9999))
    if i % 50 == 0: time.sleep(0.002)
    drain()
for i in range(100):
    time.sleep(0.01)
    drain()
print("got", got)
"""


def test_loss_is_as_large_as_asked_for_and_one_way(lab):
    run = lab.run("chain:2", "python3", "-c", FLOOD, options=["--agents", "none", "--loss", "A>B=25%@0s"]).ok()
    got = {node: int(count) for node, count in re.findall(r"^([AB])\| got (\d+)", run.output, re.M)}
    assert 2700 < got["B"] < 3300, got
    assert got["A"] > 3900, got


# Graphs ------------------------------------------------------------------------------------------------------------

def test_a_random_fabric_is_served(lab):
    right(lab.nccl("random:5", BULK))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(6))
def test_more_random_fabrics_are_served(lab, seed):
    right(lab.nccl(f"random:7:{6 + seed}:{seed}", "all_reduce -b 8 -e 1M -f 8 -n 1 -w 0", "alltoall -b 8 -e 1M -f 8 -n 1 -w 0",
                   deadline=120), 2)


def test_the_path_avoids_a_link_that_is_slow_one_way(lab):
    run = right(lab.nccl("ring:3", BULK, options=["--rate", "1gbit", "--rate", "A>B=100mbit"]))
    run.says("connected to B: path A ac--ca C cb--bc B")
    idle(run, "A/ab", "B/ba")
    carried(run, "A/ac", "C/cb")
