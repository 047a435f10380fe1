"""The agent as a daemon: its settings, its signals, what it refuses and what it tells; and jobs that differ."""
import json
import os
import pathlib
import re
import shutil
import tempfile

import pytest

from idle import IDLE, idle_use
from perf_lab import PerfLab

OWN = "for p in $(pgrep -x nccl-relay); do [ $(readlink /proc/$p/ns/net) = $(readlink /proc/self/ns/net) ] && echo $p; done"


@pytest.fixture
def box(build):
    return PerfLab(build)


@pytest.fixture
def public_box(build):
    """The shipped files where every user may read them: a checkout may lie in somebody's home."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for name in ("nccl-relay", "libnccl-net-relay.so"):
            shutil.copy2(build / name, folder)
        yield PerfLab(pathlib.Path(folder))


def in_node_a(box, script, options=(), topology="chain:3", **kwargs):
    return box.run(topology, "sh", "-c", script, options=["--discover", "--ranks", "A", "--timeout", "40", *options],
                   deadline=90, **kwargs)


def await_links(box, count):
    return (f"i=0; until [ $({box.build}/nccl-relay fabric --json | grep -c '\"ends\"') -ge {count} ]; do i=$((i+1)); "
            f"[ $i -lt 100 ] || exit 9; sleep 0.1; done; ")


def test_settings_come_from_a_file_and_sighup_reads_it_again(box, tmp_path):
    config = tmp_path / "agent.json"
    config.write_text(json.dumps({"linger": "7s", "log": "info", "ifname": "=ab", "drain_timeout": "1s"}))
    other = json.dumps({"linger": "7s", "log": "info", "ifname": "=nothing"})
    script = (f"{box.build}/nccl-relay agent --config {config} 2> {tmp_path}/log & agent=$!; sleep 0.5; " + await_links(box, 1) +
              f"echo '{other}' > {config}; kill -HUP $agent; i=0; until grep -q 'read anew' {tmp_path}/log; do i=$((i+1)); "
              f"[ $i -lt 50 ] || exit 8; sleep 0.1; done; sleep 0.5; {box.build}/nccl-relay status --json; "
              f"echo 'nonsense' > {config}; kill -HUP $agent; sleep 0.5; kill -TERM $agent; wait $agent; echo ended $?")
    run = in_node_a(box, script, options=["--agents", "B"]).ok()
    run.says("A| ended 0")
    log = (tmp_path / "log").read_text()
    assert "the settings stay as they were" in log and f"{config}:1" in log, log
    assert "ab" not in re.findall(r'"ports": ?(\[.*?\])', run.output)[-1], run.text()


@pytest.mark.parametrize("serve,served", [("everyone", True), ("own", False)])
def test_a_daemon_of_root_serves_jobs_of_others_where_it_is_told_to(public_box, tmp_path, serve, served):
    box = public_box
    config = tmp_path / "agent.json"
    config.write_text(json.dumps({"serve": serve}))
    config.chmod(0o644)
    job = f"setpriv --reuid 65534 --clear-groups {box.command} sendrecv -b 8 -e 8 -n 1"
    script = (f"{box.build}/nccl-relay agent --config {config} > {tmp_path}/log-$RANK 2>&1 & agent=$!; " + await_links(box, 1) +
              f"{job}; status=$?; kill $agent; wait; exit $status")
    run = box.run("chain:2", "sh", "-c", script, env={"NCCL_RELAY_AGENT": "off"}, options=[
        "--discover", "--agents", "none", "--timeout", "40"])
    if served:
        run.ok()
    else:
        run.failed()
        assert "belongs to user 65534" in (tmp_path / "log-0").read_text(), run.text()
        run.says("is of user 0 and serves no other: set NCCL_RELAY_SOCKET and NCCL_RELAY_PORT")
        assert run.seconds < 20, "he is told at once"


def test_two_users_have_their_jobs_one_after_the_other(public_box):
    """The agents that the first one's job started linger, and give way; while his job runs the second waits."""
    box = public_box
    job = f"{box.command} sendrecv -b 8 -e 8 -n 1"
    users = [f"setpriv --reuid {user} --clear-groups env -u NCCL_RELAY_AGENT_LOG HOME=/nonexistent" for user in (1001, 1002)]
    script = (f"{users[0]} {job} --hold-close 4 & sleep 2; {users[1]} MASTER_PORT=29999 {job}; status=$?; wait $! || exit 7; "
              f"[ $status = 0 ] && {users[0]} MASTER_PORT=29998 {job}")
    run = box.run("chain:2", "sh", "-c", script, env={"NCCL_RELAY_LINGER": "60"}, deadline=120, options=[
        "--discover", "--agents", "none", "--timeout", "90"]).ok()
    assert run.output.count("Out of bounds values : 0 OK") == 3, run.text()


def test_root_may_look_at_the_agent_of_a_user(public_box):
    box = public_box
    script = (f"setpriv --reuid 1001 --clear-groups env -u NCCL_RELAY_AGENT_LOG HOME=/nonexistent {box.command} sendrecv -b 8 -e 8 -n 1; "
              f"{box.build}/nccl-relay status --json")
    box.run("chain:2", "sh", "-c", script, env={"NCCL_RELAY_LINGER": "20"}, options=[
        "--discover", "--agents", "none", "--timeout", "60"]).ok().says('"node"')


def test_a_mistake_in_the_settings_is_named_with_its_line(box, tmp_path):
    config = tmp_path / "agent.json"
    config.write_text('{\n  "prot": 1\n}')
    run = in_node_a(box, f"{box.build}/nccl-relay agent --config {config}", options=["--agents", "none"]).failed()
    run.says(f"{config}:2", 'did you mean "port"?')


def test_a_service_manager_hears_when_it_is_ready_and_when_it_ends(box, tmp_path):
    manager = tmp_path / "manager.py"
    manager.write_text(f"""
import os, socket, subprocess
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind("\\0notify")
listener.settimeout(20)
told = lambda: print("told", listener.recv(200).decode().split()[0], flush=True)
agent = subprocess.Popen(["{box.build}/nccl-relay", "agent"], env={{**os.environ, "NOTIFY_SOCKET": "@notify"}})
told()
agent.terminate()
told()
raise SystemExit(agent.wait())
""")
    script = f"exec python3 {manager}"
    run = in_node_a(box, script, options=["--agents", "none"]).ok()
    assert re.findall(r"told (\S+)", run.output) == ["READY=1", "STOPPING=1"], run.text()


def test_a_relay_that_is_told_to_end_lets_what_it_relays_finish(box):
    """SIGTERM in the middle of a run: its data goes on, and only afterwards is the agent gone."""
    ending = f"agent=$({OWN}); kill -TERM $agent; while kill -0 $agent 2>/dev/null; do sleep 0.1; done; echo gone"
    work = f"exec env RANK=$((RANK / 2)) WORLD_SIZE=2 {box.command} sendrecv -b 1M -e 1M -n 150 --json"
    script = f"if [ $RANK = 1 ]; then sleep 3; {ending}; exit 0; fi; " + await_links(box, 2) + work
    run = box.run("chain:3", "sh", "-c", script, deadline=120, options=[
        "--discover", "--agents", "all", "--timeout", "90", "--grace", "60", "--rate", "300mbit"]).ok()
    run.says("A| {")
    log = run.agent_logs["B"]
    passing = re.search(r"ending: new circuits are refused, (\d+) that pass here may finish", log)
    assert passing and int(passing[1]) > 0 and "are cut" not in log, log
    assert run.output.index("A| {") < run.output.index("B| gone"), run.text()


def test_nothing_new_goes_through_a_relay_that_ends(box):
    """Of a ring of four, B is told to end while it relays; the next connection from A to C takes the other way."""
    ending = f"for p in $({OWN}); do kill -TERM $p; done"
    script = (f"if [ $RANK = 1 ]; then sleep 2; {ending}; sleep 6; exit 0; fi; " + await_links(box, 4) +
              "sleep 3; " + await_links(box, 2) + f"exec env RANK=$((RANK / 2)) WORLD_SIZE=2 {box.command} sendrecv -b 1K -e 1K -n 1 --json")
    run = box.run("ring:4", "sh", "-c", script, deadline=120, env={"NCCL_DEBUG": "INFO"}, options=[
        "--discover", "--agents", "all", "--ranks", "A,B,C", "--timeout", "60"]).ok()
    assert "path A ab" not in run.output and "path A ad--da D" in run.output, run.text()


def test_ranks_with_different_builds_are_told_so_with_their_files(box, tmp_path):
    plugin = box.build / "libnccl-net-relay.so"
    other = tmp_path / "libnccl-net-relay.so"
    shutil.copy(plugin, other)
    code = bytearray(other.read_bytes())
    at = code.index(b"GNU\0", code.index(b"\x04\0\0\0\x14\0\0\0\x03\0\0\0")) + 4
    code[at] ^= 0xff  # the first byte of the linker's build id
    other.write_bytes(code)
    work = f"{box.command} sendrecv -b 8 -e 8 -n 1"
    run = box.run("chain:2", "sh", "-c", f"[ $RANK = 0 ] || export NCCL_NET_PLUGIN={other}; {work}",
                  options=["--discover", "--agents", "none", "--timeout", "40"]).ok()
    for node in "AB":
        line = run.says(f"{node}|", "the ranks run different builds of the plugin")
        assert str(plugin) in line and str(other) in line, line


def test_a_plugin_that_is_loaded_twice_from_different_files_is_named(box, tmp_path):
    other = tmp_path / "libnccl-net-relay.so"
    shutil.copy(box.build / "libnccl-net-relay.so", other)
    run = box.run("chain:2", "sh", "-c", f"LD_PRELOAD={other} {box.command} sendrecv -b 8 -e 8 -n 1",
                  options=["--discover", "--agents", "none", "--timeout", "40"]).ok()
    run.says("A|", "this process has loaded libnccl-net-relay.so from 2 files", str(other))


@pytest.mark.parametrize("keys,words", [
    (("one", "two"), "its key is another one"), (("one", None), "has a key and"), ((None, "one"), "has no key"),
])
def test_nodes_without_the_same_key_are_no_neighbours_and_say_why(box, tmp_path, keys, words):
    for name in ("one", "two"):
        path = tmp_path / name
        path.write_bytes(name[0].encode() * 40)
        path.chmod(0o600)
    own = [f"NCCL_RELAY_KEY_FILE={tmp_path / key}" if key else "" for key in keys]
    script = (f"if [ $RANK = 0 ]; then export {own[0] or 'X=1'}; else export {own[1] or 'X=1'}; fi; "
              f"{box.build}/nccl-relay agent > {tmp_path}/log-$RANK 2>&1 & sleep 4; {box.build}/nccl-relay fabric --json; kill $!; wait")
    run = box.run("chain:2", "sh", "-c", script, options=["--discover", "--agents", "none", "--timeout", "40"]).ok()
    assert '"ends"' not in run.output, run.text()
    logs = "".join((tmp_path / f"log-{rank}").read_text() for rank in "01")
    assert words in logs, logs


def test_a_job_with_a_key_runs_and_one_without_is_kept_out(box, tmp_path):
    key = tmp_path / "key"
    made = box.run("chain:2", box.build / "nccl-relay", "keygen", str(key), options=["--ranks", "A", "--agents", "none"]).ok()
    assert key.stat().st_mode & 0o777 == 0o600, made.text()
    perf = box.perf("all_reduce -b 1K -e 1M -n 1", options=["--discover", "--agents", "none", "--timeout", "60"],
                    env={"NCCL_RELAY_KEY_FILE": str(key)})
    perf.right()


def test_two_jobs_and_a_part_of_the_nodes_do_not_disturb_each_other(box):
    """On a ring of four: one job on A, B, C and another on B, C, D at once."""
    first = f"env RANK=$RANK WORLD_SIZE=3 MASTER_PORT=29500 {box.command} all_reduce -b 1K -e 1M -n 5 --json"
    second = f"env RANK=$((RANK - 1)) WORLD_SIZE=3 MASTER_PORT=29600 MASTER_ADDR=10.88.0.2 {box.command} all_gather -b 1K -e 1M -n 5 --json"
    script = (f"status=0; if [ $RANK -ge 1 ]; then {second} & other=$!; fi; if [ $RANK -le 2 ]; then {first} || status=$?; fi; "
              "if [ $RANK -ge 1 ]; then wait $other || status=$?; fi; exit $status")
    run = box.run("ring:4", "sh", "-c", script, options=["--discover", "--agents", "none", "--timeout", "90"]).ok()
    tables = [json.loads(line[3:]) for line in run.output.splitlines() if line[3:].startswith("{")]
    assert len(tables) == 2, run.text()


def test_agents_beyond_a_router_find_each_other_by_the_handles_addresses(box):
    """B forwards IP and runs no agent: no common wire, and no relay either. The link is a last resort and said so."""
    routes = ("if [ $RANK = 0 ]; then ip route add 10.77.0.4/30 via 10.77.0.2; else ip route add 10.77.0.0/30 via 10.77.0.5; fi; ")
    run = box.run("chain:3", "sh", "-c", routes + f"exec {box.command} sendrecv -b 1K -e 64K -n 1 --json", options=[
        "--discover", "--ranks", "A,C", "--agents", "none", "--timeout", "60", "--sysctl", "net.ipv4.ip_forward=1"]).ok()
    run.says("by a last resort", "beyond routers")
    assert any("routers" in line for log in run.agent_logs.values() for line in log.splitlines() if "is up" in line), run.text()


@pytest.mark.alone
def test_an_idle_rank_costs_nothing(box, guest):
    """A process that holds communicators and waits: less than a hundredth of a core for the plugin's thread."""
    script = f"{guest} {box.build}/libnccl-net-relay.so hold & p=$!; sleep 2; {IDLE}; kill $p; wait"
    run = in_node_a(box, script, options=["--agents", "none"]).ok()
    [(used, wakings)] = idle_use(run, "A")
    assert used < 0.01 and wakings < 10, run.text()
