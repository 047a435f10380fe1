"""The agent as an operator meets it: by hand, by its log, by whom it serves and what it refuses."""
import pathlib
import re
import subprocess

import pytest

from conftest import Lab


HERE = pathlib.Path(__file__).parent
AGENTS = "pgrep -x nccl-relay | grep -vx 1"  # 1 is the lab itself
OWN = (f"for p in $({AGENTS}); do [ $(readlink /proc/$p/ns/net) = $(readlink /proc/self/ns/net) ] && echo $p; done")


@pytest.fixture
def box(build):
    return Lab(build)


def in_node_a(box, script, **kwargs):
    options = ["--ranks", "A", "--timeout", "20", *kwargs.pop("options", ())]
    return box.run("chain:3", "sh", "-c", script, options=options, deadline=60, **kwargs)


def test_help_tells_the_arguments(box):
    done = subprocess.run([box.binary, "agent", "--help"], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0 and done.stderr == ""
    assert "--auto" in done.stdout and "NCCL_RELAY_FABRIC" in done.stdout


def test_an_argument_that_it_does_not_know_is_named(box):
    done = subprocess.run([box.binary, "agent", "--fast"], capture_output=True, text=True, timeout=10)
    assert done.returncode == 2 and "does not know --fast" in done.stderr and "--help" in done.stderr


def test_a_second_agent_says_who_serves_the_node_and_ends_with_1(box):
    run = in_node_a(box, f"echo first $({AGENTS}); {box.binary} agent; echo status $?",
                    options=["--agents", "A"]).ok()
    run.says("status 1")
    serving = re.search(r"another agent \(process (\d+)\) serves this node on @nccl-relay: end it first", run.output)
    assert serving, run.text()
    assert f"first {serving[1]}\n" in run.output


def test_an_agent_that_a_plugin_started_is_named_by_its_own_process_number(box):
    """It has left the process that its starter waited for."""
    run = in_node_a(box, f"{box.binary} agent --auto; echo started $({AGENTS}); "
                    f"{box.binary} agent; echo status $?", options=["--agents", "none"]).ok()
    serving = re.search(r"another agent \(process (\d+)\)", run.output)
    assert serving and f"started {serving[1]}\n" in run.output, run.text()


def test_a_second_agent_that_a_plugin_starts_leaves_the_node_to_the_first(box):
    run = in_node_a(box, f"{box.binary} agent --auto; echo status $?; {AGENTS} | wc -l",
                    options=["--agents", "A"]).ok()
    assert run.output == "A| status 0\nA| 1\n", run.text()


def test_the_log_names_node_port_socket_and_fabric(box):
    run = in_node_a(box, "true", options=["--agents", "all"]).ok()
    for node in "ABC":
        assert re.search(rf"agent of node {node} \([0-9a-f]{{16}}\), port 21517, control socket @nccl-relay, fabric chain-3 \([0-9a-f]{{16}}\)",
                         run.agent_logs[node]), run.text()
    hashes = {re.search(r"chain-3 \(([0-9a-f]{16})\)", log)[1] for log in run.agent_logs.values()}
    assert len(hashes) == 1, "every agent read the same fabric"


def test_sigterm_ends_it_in_order_and_frees_its_name(box):
    run = in_node_a(box, f"{AGENTS} | xargs kill; for i in $(seq 50); do {AGENTS} >/dev/null || break; sleep 0.1; done; "
                    f"{box.binary} agent --auto; echo status $?; {AGENTS} | wc -l", options=["--agents", "A"]).ok()
    run.says("A| status 0")
    assert re.search(r"^A\| 1$", run.output, re.M), run.text()


def test_an_idle_agent_that_a_plugin_started_ends_by_itself(box):
    # 5 s for its first client, then the time to linger.
    run = in_node_a(box, f"{box.binary} agent --auto; for i in $(seq 100); do {AGENTS} >/dev/null || break; sleep 0.1; "
                    f"done; {AGENTS} || echo gone", options=["--agents", "none"], env={"NCCL_RELAY_LINGER": "0.2"}).ok()
    run.says("gone")
    run.says("no client and no circuit for 0.2 s: this agent ends")
    assert 4 < run.seconds < 20, run.text()


def test_what_a_plugin_starts_keeps_nothing_of_the_first_rank(box):
    """Its one core, its niceness, its limits and its secrets are the rank's own; the agent serves whoever comes."""
    perf = f"{box.binary} perf all_reduce -b 8 -e 8 -n 1 -w 0"
    bounds = "taskset -c 0 nice -n 5 prlimit --cpu=60:unlimited --fsize=100000000:unlimited"
    show = (f"agent=$({OWN}); cd /proc/$agent; taskset -pc $agent; grep -E 'Max (cpu time|file size)' limits; "
            "echo nice $(cut -d' ' -f19 stat); tr '\\0' '\\n' < environ | cut -d= -f1 | sort | tr '\\n' ' '")
    run = in_node_a(box, f"taskset -pc $$; {bounds} {perf}; {show}", options=["--agents", "none", "--discover"],
                    env={"HF_TOKEN": "secret", "NOTIFY_SOCKET": "@job", "NCCL_DEBUG": "WARN", "NCCL_RELAY_LINGER": "9",
                         "WORLD_SIZE": "1"}).ok()
    shell, agent = re.findall(r"current affinity list: (\S+)", run.output)
    assert shell == agent, run.text()
    assert len(re.findall(r"Max (?:cpu time|file size) +unlimited +unlimited", run.output)) == 2, run.text()
    run.says("nice 0")
    names = run.output.splitlines()[-1].removeprefix("A| ").split()
    assert "NCCL_RELAY_LINGER" in names and "PATH" in names, run.text()
    assert not {"HF_TOKEN", "NOTIFY_SOCKET", "NCCL_DEBUG", "WORLD_SIZE", "RANK"} & set(names), run.text()


def test_a_limit_that_may_not_be_raised_is_said_aloud(box):
    run = in_node_a(box, f"prlimit --cpu=60:60 setpriv --bounding-set -sys_resource {box.binary} perf all_reduce -b 8 -e 8 -n 1 -w 0", options=["--agents", "none"]).ok()
    log = run.text()
    assert "WARN the agent keeps a limit of 60 s of CPU time, after which the kernel ends it" in log, log


def test_an_agent_whose_log_nobody_reads_goes_on(box, tmp_path):
    """A pipe whose reader has stopped: neighbours must not take the agent for dead."""
    script = tmp_path / "unread.py"
    script.write_text(f"""
import fcntl, os, select, signal, subprocess, time
reader, writer = os.pipe()
fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
agent = subprocess.Popen(["{box.binary}", "agent"], stderr=writer)
ask = lambda question: subprocess.run(["{box.binary}", *question.split()], capture_output=True, text=True, timeout=10)
end = time.monotonic() + 20
while '"ends"' not in ask("fabric --json").stdout:
    assert time.monotonic() < end, "no link"
    time.sleep(0.1)
while select.select([], [writer], [], 0)[1]:  # until it is full, a line each
    assert time.monotonic() < end, "the pipe is never full"
    agent.send_signal(signal.SIGHUP)
end = time.monotonic() + 5  # longer than a neighbour's patience
while time.monotonic() < end:
    agent.send_signal(signal.SIGHUP)
    assert '"ends"' in ask("fabric --json").stdout, "the link is gone"
os.read(reader, 65536)
agent.send_signal(signal.SIGHUP)
assert select.select([reader], [], [], 10)[0], "it says nothing any more"
print(os.read(reader, 65536).decode())
agent.kill()
agent.wait()
""")
    run = box.run("chain:2", "sh", "-c", f"[ $RANK = 0 ] || exec sleep 30; exec python3 {script}", deadline=90, options=[
        "--discover", "--agents", "B", "--timeout", "60", "--ranks", "A"]).ok()
    assert re.search(r"WARN \d+ lines are lost: nobody has read this log", run.output), run.text()


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_where_no_process_is_left_the_start_ends_with_a_sentence(box, processes):
    """The plugin's starter, the agent and the plugin's own thread each need one."""
    script = (f"setpriv --reuid 6{processes}001 --clear-groups env HOME=/nonexistent prlimit --nproc={processes} "
              f"{box.binary} {JOB}")
    run = in_node_a(box, script, options=["--agents", "none", "--discover"],
                    env={"NCCL_RELAY_LINGER": "3600", "NCCL_RELAY_CONNECT_TIMEOUT": "10"})
    assert run.seconds < 18, run.text()
    if run.status != 0:
        assert re.search("ulimit -u", run.output), run.text()


# What a job asks for -----------------------------------------------------------------------------------------------

JOB = "perf all_reduce -b 8 -e 8 -n 1 -w 0"


def second_job(box, setting, agents="none", ranks=1, first="", **kwargs):
    """A job without settings, then one with this one, while the agents of the first linger."""
    script = f"{first or f'{box.binary} {JOB}'} && echo the second && exec env {setting} {box.binary} {JOB}"
    return box.run("chain:2", "sh", "-c", script, env={"NCCL_RELAY_LINGER": "20", "NCCL_DEBUG": "INFO"}, deadline=90, options=[
        "--discover", "--agents", agents, "--timeout", "60", "--ranks-per-node", str(ranks)], **kwargs)


@pytest.mark.parametrize("ranks", [1, 3])
def test_an_agent_that_nobody_uses_gives_way_to_what_the_next_job_asks_for(box, ranks):
    run = second_job(box, "NCCL_RELAY_PORT=22222", ranks=ranks).ok()
    ports = re.findall(r"agent pid \d+ on port (\d+)", run.output)
    assert ports.count("21517") == 2 * ranks and ports.count("22222") == 2 * ranks, run.text()
    assert "not as asked for" not in run.output, run.text()
    run.says("this job asks for NCCL_RELAY_PORT=22222 where its agent has NCCL_RELAY_PORT=21517: that one served nobody and has ended")


def test_a_job_with_a_key_gets_an_agent_with_it(box, tmp_path):
    key = tmp_path / "key"
    subprocess.run([box.binary, "keygen", key], check=True)
    run = second_job(box, f"NCCL_RELAY_KEY_FILE={key} NCCL_RELAY_PORT=22222").ok()
    assert len(re.findall(r"on port 22222", run.output)) == 2, run.text()


def test_an_agent_that_serves_a_job_stays_and_the_next_one_is_told(box):
    script = (f"{box.binary} {JOB} --hold-close 6 & " + until("grep -q :540D /proc/net/tcp") +
              f"; sleep 2; NCCL_RELAY_IFNAME=^nothing MASTER_PORT=29999 {box.binary} {JOB}; status=$?; wait; exit $status")
    run = box.run("chain:2", "sh", "-c", script, env={"NCCL_DEBUG": "INFO"}, deadline=90, options=[
        "--discover", "--agents", "none", "--timeout", "60"]).ok()
    assert len(re.findall(r"WARN .*not as asked for: this job asks for NCCL_RELAY_IFNAME=\^nothing where its agent has "
                          r"NCCL_RELAY_IFNAME unset \(process \d+, which stays because it serves 1 other process\)", run.output)) == 2, run.text()


def test_an_operators_agent_stays_and_a_job_that_asks_for_a_key_does_not_begin_without(box, tmp_path):
    run = second_job(box, "NCCL_RELAY_PORT=22222", agents="all").ok()
    run.says("this job asks for NCCL_RELAY_PORT=22222 where its agent has NCCL_RELAY_PORT=21517",
             "which stays because an operator started it")
    key = tmp_path / "key"
    subprocess.run([box.binary, "keygen", key], check=True)
    run = second_job(box, f"NCCL_RELAY_KEY_FILE={key}", agents="all").failed()
    run.says(f"this job asks for NCCL_RELAY_KEY_FILE={key} where its agent has NCCL_RELAY_KEY_FILE unset")


def test_a_fabric_that_is_not_there_ends_the_second_job_as_it_would_the_first(box):
    run = second_job(box, "NCCL_RELAY_FABRIC=/does/not/exist").failed()
    run.says("cannot read the declared fabric (NCCL_RELAY_FABRIC) /does/not/exist")


def test_one_that_an_operator_started_stays(box):
    run = in_node_a(box, f"sleep 1; {AGENTS} | wc -l", options=["--agents", "A"], env={"NCCL_RELAY_LINGER": "0"}).ok()
    assert run.output == "A| 1\n"


# Who serves whom --------------------------------------------------------------------------------------------------

SMALL = "all_reduce -b 8 -e 64K -f 16 -n 2 -w 0"


def until(condition, seconds=10):
    return f"for i in $(seq {seconds * 20}); do {condition} && break; sleep 0.05; done"


def served_by(agent, command):
    """The command, and its status, with an agent started by hand in its node."""
    return (f"{agent} agent 2>>$NCCL_RELAY_AGENT_LOG & agent=$!; {until('grep -qs `agent of node` $NCCL_RELAY_AGENT_LOG')}; "
            f"NCCL_RELAY_AGENT=off {command}; status=$?; kill $agent; exit $status").replace("`", "'")


@pytest.mark.nccl
@pytest.mark.parametrize("agent,plugin", [("test/agent_ahead_1", "libnccl-net-relay.so"),
                                          ("nccl-relay", "test/libplugin_ahead_1.so")],
                         ids=["newer", "older"])
def test_an_agent_one_version_apart_serves_the_plugin(lab, build, agent, plugin):
    run = lab.run("chain:3", "sh", "-c", served_by(build / agent, f"{lab.rank} {SMALL}"), deadline=60,
                  options=["--agents", "none", "--timeout", "40"], env={"NCCL_NET_PLUGIN": str(build / plugin)}).ok()
    assert "Out of bounds values : 0 OK" in run.output
    run.says("via NET/Relay")


@pytest.mark.nccl
def test_an_agent_two_versions_apart_is_refused_in_words(lab, build):
    run = lab.run("chain:3", "sh", "-c", served_by(build / "test/agent_ahead_2", f"{lab.rank} {SMALL}"), deadline=60,
                  options=["--agents", "none", "--timeout", "40", "--grace", "20"]).failed()
    assert run.status != 124 and run.seconds < 20, run.text()
    for node in "ABC":
        run.says(f"{node}|", "NET/Relay init", "more than one version apart, install the same on both")


@pytest.mark.nccl
def test_two_jobs_at_once_share_the_agents(lab):
    job = f"{lab.rank} all_reduce -b 8 -e 1M -f 16 -n 5 -w 0"
    script = f"{job} & first=$!; MASTER_PORT=29700 {job} || exit 1; wait $first"
    run = lab.run("chain:3", "sh", "-c", script, options=["--agents", "all", "--timeout", "60"], deadline=90).ok()
    assert run.output.count("Out of bounds values : 0 OK") == 2
    run.had_agents("ABC", 1)


@pytest.mark.nccl
def test_jobs_one_after_another_are_served_by_one_agent(lab):
    jobs = " && ".join(f"MASTER_PORT={29700 + i} {lab.rank} {SMALL}" for i in range(3))
    run = lab.run("chain:3", "sh", "-c", f"{jobs} && echo served by $({OWN} | wc -w)", deadline=90,
                  options=["--timeout", "60"]).ok()
    assert run.output.count("Out of bounds values : 0 OK") == 3 and run.output.count("served by 1\n") == 3
    run.had_agents("ABC", 1)  # the plugin of the next job found the agent of the last


@pytest.mark.parametrize("far", ["B", "C"], ids=["direct", "relayed"])
def test_a_container_with_a_network_of_its_own_is_served_through_a_mounted_socket(box, build, guest, tmp_path, far):
    """As in a pod: other mounts, no interface at all, no abstract name within reach; only the agent's socket."""
    library, handle = build / "libnccl-net-relay.so", tmp_path / "handle"
    host, pod = tmp_path / "host", tmp_path / "pod"
    mode = f"$( [ $RANK = 0 ] && echo send {handle} || echo receive {handle} true )"
    inside = (f"mount --bind {host} {pod} && mount -t tmpfs none {host} && test ! -e /sys/class/net/ctl && "
              f"NCCL_RELAY_AGENT=off NCCL_RELAY_SOCKET={pod}/agent.sock {guest} {library} {mode}")
    script = (f"mkdir -p {host} {pod}; mount -t tmpfs none {host}; "
              f"NCCL_RELAY_SOCKET={host}/agent.sock {box.binary} agent & agent=$!; {until(f'test -S {host}/agent.sock')}; "
              f"unshare --net --mount --propagation private sh -c 'mount -t sysfs none /sys; {inside}'; "
              "status=$?; kill $agent; exit $status")
    relay = [] if far == "B" else ["--agents", "B"]
    run = box.run("chain:3", "sh", "-c", script, deadline=60,
                  options=["--ranks", f"A,{far}", "--timeout", "40", *(relay or ["--agents", "none"])]).ok()
    run.says("A| sent after")
    run.says(f"{far}| received")


@pytest.mark.nccl
def test_hostile_neighbours_and_clients_disturb_no_job(lab):
    bad = f"/usr/bin/python3 {HERE / 'hostile.py'} @nccl-relay"
    relay = f"[ $NCCL_HOSTID = B ] && {bad} 10.77.0.2 21517 4 &"
    neighbour = f"[ $NCCL_HOSTID = C ] && {bad} 10.77.0.5 21517 4 &"
    held = "ls /proc/$agent/fd | wc -l"
    after = (f"agent=$({OWN}); {until(f'test $({held}) -lt 20')}; echo descriptors $({held}); "
             f"{lab.binary} status --json | grep -o 'setup_refused_bytes.: *[0-9]*'")
    script = (f"{relay} {neighbour} {lab.rank} all_reduce -b 8 -e 1M -f 16 -n 3 -w 0 --hold 0.2; status=$?; wait; {after}; "
              f"timeout 2 {lab.binary} status >/dev/null || status=99; exit $status")
    run = lab.run("chain:3", "sh", "-c", script, options=["--agents", "all", "--timeout", "60"], deadline=90).ok()
    assert "Out of bounds values : 0 OK" in run.output
    made = [int(count) for count in re.findall(r"hostile: (\d+) connections", run.output)]
    assert len(made) == 2 and min(made) > 200, run.text()
    left = [int(count) for count in re.findall(r"descriptors (\d+)", run.output)]
    assert len(left) == 3 and 3 < min(left) and max(left) < 20, run.text()
    # What is of the agents' own version is read, and refused for what it says. Both talk to B.
    read = re.search(r"^B\| setup_refused_bytes.: *(\d+)", run.output, re.M)
    assert read and int(read[1]) > 100, run.text()
    run.had_agents("ABC", 1)
