"""No fabric file and no agent started by hand: the fabric finds itself, and NCCL runs over it."""
import json
import re

import pytest

from idle import IDLE, idle_use
from perf_lab import PerfLab

SIZES = "-b 8 -e 2M -f 64 -n 1 -w 0"
MIB = 1 << 20
# Two rings of three, joined by one cable.
ISLANDS = """{"version": 1, "name": "islands", "nodes": [
  {"name": "A", "ports": [{"name": "ab", "addresses": ["10.77.0.1"]}, {"name": "ac", "addresses": ["10.77.0.5"]}]},
  {"name": "B", "ports": [{"name": "ba", "addresses": ["10.77.0.2"]}, {"name": "bc", "addresses": ["10.77.0.9"]}]},
  {"name": "C", "ports": [{"name": "ca", "addresses": ["10.77.0.6"]}, {"name": "cb", "addresses": ["10.77.0.10"]},
                          {"name": "cd", "addresses": ["10.77.0.13"]}]},
  {"name": "D", "ports": [{"name": "dc", "addresses": ["10.77.0.14"]}, {"name": "de", "addresses": ["10.77.0.17"]},
                          {"name": "df", "addresses": ["10.77.0.21"]}]},
  {"name": "E", "ports": [{"name": "ed", "addresses": ["10.77.0.18"]}, {"name": "ef", "addresses": ["10.77.0.25"]}]},
  {"name": "F", "ports": [{"name": "fd", "addresses": ["10.77.0.22"]}, {"name": "fe", "addresses": ["10.77.0.26"]}]}],
 "links": [{"ends": ["A/ab", "B/ba"]}, {"ends": ["A/ac", "C/ca"]}, {"ends": ["B/bc", "C/cb"]}, {"ends": ["C/cd", "D/dc"]},
           {"ends": ["D/de", "E/ed"]}, {"ends": ["D/df", "F/fd"]}, {"ends": ["E/ef", "F/fe"]}]}"""


@pytest.fixture
def box(build):
    return PerfLab(build)


@pytest.fixture
def islands(tmp_path):
    path = tmp_path / "islands.json"
    path.write_text(ISLANDS)
    return str(path)


def discover(*options):
    return ["--discover", "--agents", "none", "--timeout", "90", *options]


def cables_alone(run):
    """Neither the LAN nor a forwarding kernel carried data."""
    for interfaces in run.counters.values():
        assert interfaces["ctl"]["tx_bytes"] < MIB, f"data went over the LAN: {run.counters}"
        assert interfaces["ip_forwarded"] == 0, f"the kernel forwarded: {run.counters}"


@pytest.mark.nccl
@pytest.mark.parametrize("topology", ["chain:3", "chain:5", "ring:4", "star:4", "grid:2x3", "islands"])
def test_the_real_nccl_runs_with_no_file_and_no_daemon(lab, islands, topology):
    """A slow LAN with the default route (--control gateway) lies beside the cables, and carries nothing but the bootstrap."""
    where = islands if topology == "islands" else topology
    run = lab.nccl(where, f"all_reduce {SIZES}", f"alltoall {SIZES}", options=discover()).ok()
    assert run.output.count("Out of bounds values : 0 OK") == 2, run.text()
    run.says("Using network Relay")
    cables_alone(run)


@pytest.mark.nccl
def test_three_nodes_of_a_ring_of_four_with_a_daemon_on_the_fourth(lab):
    options = ["--discover", "--ranks", "A,B,C", "--timeout", "90"]
    run = lab.nccl("ring:4", f"all_reduce {SIZES}", f"alltoall {SIZES}", options=options).ok()
    assert run.output.count("Out of bounds values : 0 OK") == 2, run.text()
    cables_alone(run)


@pytest.mark.nccl
def test_a_daemon_on_the_only_way_relays_without_a_rank(lab):
    options = ["--discover", "--ranks", "A,C", "--timeout", "90"]
    run = lab.nccl("chain:3", f"all_reduce {SIZES}", options=options).ok()
    run.says("path A ab--ba B bc--cb C")


@pytest.mark.parametrize("addresses", ["per-pair", "shared", "reused", "ula", "link-local"])
def test_every_way_to_number_cables_is_found(box, addresses):
    """Several cables between two nodes, in one subnet, in one subnet used again, and without any but link-local."""
    topology = {"per-pair": "ring:2", "shared": "ring:4"}.get(addresses, "chain:3")
    perf = box.perf("all_reduce -b 1K -e 64K -n 1", topology=topology,
                    options=discover("--addresses", addresses))
    perf.right()


def fabric_of(box, topology, script, options=(), **kwargs):
    """What `fabric --json` says in node A after the script has gone right, and the run."""
    run = box.run(topology, "sh", "-c", script, options=["--discover", "--timeout", "60", *options], **kwargs).ok()
    text = "".join(line.partition("| ")[2] + "\n" for line in run.output.splitlines() if line.startswith("A| "))
    start = text.index("{")
    return json.JSONDecoder().raw_decode(text[start:])[0], run


def await_links(box, count, seconds=10):
    """A shell loop until the agent's fabric has so many links."""
    return (f"i=0; until [ $({box.build}/nccl-relay fabric --json | grep -c '\"ends\"') -ge {count} ]; do "
            f"i=$((i+1)); [ $i -lt {seconds * 10} ] || exit 9; sleep 0.1; done; ")


def links_of(fabric):
    return sorted(tuple(sorted(link["ends"])) for link in fabric["links"])


def test_twins_are_two_links(box):
    fabric, _ = fabric_of(box, "ring:2", await_links(box, 2) + f"{box.build}/nccl-relay fabric --json",
                          options=["--agents", "all"])
    assert len(links_of(fabric)) == 2, fabric


def test_every_node_holds_the_same_fabric(box):
    script = await_links(box, 7) + "sleep 1; " + f"{box.build}/nccl-relay status --json"
    run = box.run("grid:2x3", "sh", "-c", script, options=["--discover", "--agents", "all", "--timeout", "60"]).ok()
    hashes = set(re.findall(r'"agreement": ?"([0-9a-f]{16})', run.output))
    assert len(hashes) == 1, run.text()


@pytest.mark.parametrize("control", ["gateway", "routes"])
def test_no_link_that_is_none_is_ever_believed(box, control):
    """IP forwarded at B, default routes, a LAN beside: A and C reach each other by IP, and are no neighbours."""
    forwarding = ["--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "net.ipv6.conf.all.forwarding=1"]
    script = (f"{box.command} all_reduce -b 1K -e 1M -n 1 && " + await_links(box, 2) +
              f"sleep 2; {box.build}/nccl-relay fabric --json")
    fabric, run = fabric_of(box, "chain:3", script, options=["--agents", "none", "--control", control, *forwarding])
    assert links_of(fabric) == [("A/ab", "B/ba"), ("B/bc", "C/cb")], run.text()
    up = [line for log in run.agent_logs.values() for line in log.splitlines() if re.search("INFO link .* is up", line)]
    assert len(up) >= 4 and not any("beyond routers" in line for line in up), run.text()


def test_a_cable_that_is_pulled_leaves_the_fabric_at_once_and_comes_back(box):
    """Netlink says so: nothing waits for a timer."""
    count = f"$({box.build}/nccl-relay fabric --json | grep -c '\"ends\"')"
    script = await_links(box, 4) + (
        f"sleep 1; until [ {count} = 3 ]; do sleep 0.02; done; echo gone; until [ {count} = 4 ]; do sleep 0.02; done; echo back")
    run = box.run("ring:4", "sh", "-c", script, options=["--discover", "--agents", "all", "--timeout", "40", "--cut", "A-B@4s",
                                                      "--heal", "A-B@7s"]).ok()
    assert run.output.count("| gone") == 4 and run.output.count("| back") == 4, run.text()


def test_a_second_path_is_taken_when_the_first_is_cut(box):
    """No connection is open yet: the next one goes the other way round."""
    script = (await_links(box, 4) + "sleep 4; " + f"exec {box.command} alltoall -b 1K -e 64K -n 1 --json")
    run = box.run("ring:4", "sh", "-c", script, options=["--discover", "--agents", "all", "--timeout", "60", "--cut", "A-B@3s"]).ok()
    run.says("A| {")


def test_the_lan_is_a_last_resort_and_said_aloud(box):
    """Named in NCCL_RELAY_IFNAME it is a port, but cables go before it, however many they are."""
    work = f"{box.command} sendrecv -b 1K -e 64K -n 1"
    options = ["--discover", "--agents", "all", "--ranks", "A,C", "--timeout", "60"]
    env = {"NCCL_RELAY_IFNAME": "^lo", "NCCL_DEBUG": "INFO"}
    run = box.run("chain:3", "sh", "-c", await_links(box, 5) + work, options=options, env=env).ok()
    run.says("path A ab--ba B bc--cb C")
    assert "last resort" not in run.output, run.text()
    run = box.run("chain:3", "sh", "-c", await_links(box, 5) + "sleep 3; " + work, env=env, options=[*options, "--cut", "B-C@2s"]).ok()
    run.says("path A ctl--ctl C")
    run.says("NCCL WARN", "C is reached from A by a last resort, because no cable leads there")


def test_what_the_kernel_calls_a_tunnel_is_no_cable_whatever_its_name(box):
    made = ("ip link add mesh0 type vxlan id 7 dstport 4789 dev ctl group 239.1.1.7; "
            "ip link add host0 type bridge; ip link add pod0 type veth peer name pod1; ip link set pod0 master host0; "
            "n=1; for i in mesh0 host0; do ip addr add 10.99.$n.$((RANK + 1))/24 dev $i; ip link set $i up; n=$((n + 1)); done; "
            "ip link set pod0 up; ip link set pod1 up; ")
    fabric, run = fabric_of(box, "chain:2", made + await_links(box, 1) + f"sleep 2; {box.build}/nccl-relay discovery; "
                            f"{box.build}/nccl-relay fabric --json", options=["--agents", "all"])
    assert len(links_of(fabric)) == 1, run.text()
    run.says("not used: mesh0 is a tunnel over another network (vxlan)")
    run.says("not used: host0 is a bridge of virtual ports alone")


def test_two_nodes_of_one_name_are_told_apart(box):
    script = (f"hostname spark; {box.build}/nccl-relay agent > /dev/null 2>&1 & sleep 0.3; " + await_links(box, 1) +
              f"{box.build}/nccl-relay fabric --json; sleep 1; kill $!; wait")
    run = box.run("chain:2", "sh", "-c", script, options=["--discover", "--agents", "none", "--timeout", "60"]).ok()
    names = set(re.findall(r'"name": "(spark[^"]*)"', run.output))
    assert len(names) == 2 and all(re.fullmatch("spark-[0-9a-f]+", name) for name in names), run.text()


def test_an_agent_that_restarts_is_the_same_node(box):
    own = f"for p in $(pgrep -x nccl-relay); do [ $(readlink /proc/$p/ns/net) = $(readlink /proc/self/ns/net) ] && echo $p; done"
    node = f"{box.build}/nccl-relay status --json | grep -o '\"node\":\"[0-9a-f]*' | head -1"
    script = (f"if [ $RANK = 1 ]; then before=$({node}); kill -9 $({own}); sleep 0.3; ({box.build}/nccl-relay agent >/dev/null 2>&1 &); "
              f"sleep 1; after=$({node}); echo before $before after $after; [ $before = $after ] || exit 3; fi; sleep 3; "
              + await_links(box, 2) + "echo whole")
    run = box.run("chain:3", "sh", "-c", script, options=["--discover", "--agents", "all", "--timeout", "60"]).ok()
    assert run.output.count("| whole") == 3, run.text()


def test_a_node_without_an_agent_on_the_only_way_is_named(box):
    perf = box.perf("all_reduce -b 1K -e 1K -n 1", topology="chain:3",
                    options=["--discover", "--agents", "none", "--ranks", "A,C", "--timeout", "60"],
                    env={"NCCL_RELAY_CONNECT_TIMEOUT": "4"})
    perf.run.failed().says("nobody answers on its port ab", "start `nccl-relay agent`")


@pytest.mark.alone
def test_an_idle_agent_costs_nothing(box):
    """Less than a hundredth of a core, hellos and all, and few wakings, whatever one costs on this machine."""
    own = "for p in $(pgrep -x nccl-relay); do [ $(readlink /proc/$p/ns/net) = $(readlink /proc/self/ns/net) ] && echo $p; done"
    run = box.run("chain:3", "sh", "-c", await_links(box, 2) + f"sleep 2; p=$({own}); {IDLE}",
                  options=["--discover", "--agents", "all", "--timeout", "60"]).ok()
    for used, wakings in idle_use(run, "A", "B", "C"):
        assert used < 0.01 and wakings < 10, run.text()
