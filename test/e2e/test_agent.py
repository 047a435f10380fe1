"""The agent as an operator meets it: by hand, by its log, by what it refuses."""
import re
import subprocess

import pytest

from conftest import Lab


AGENTS = "pgrep -x nccl-relay | grep -vx 1"  # 1 is the lab itself


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
        assert re.search(rf"agent of node {node}, port 21517, control socket @nccl-relay, fabric chain-3 \([0-9a-f]{{16}}\)",
                         run.agent_logs[node]), run.text()
    hashes = {re.search(r"\(([0-9a-f]{16})\)", log)[1] for log in run.agent_logs.values()}
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
    assert 4 < run.seconds < 10


def test_one_that_an_operator_started_stays(box):
    run = in_node_a(box, f"sleep 1; {AGENTS} | wc -l", options=["--agents", "A"], env={"NCCL_RELAY_LINGER": "0"}).ok()
    assert run.output == "A| 1\n"
