"""What is missing or breaks ends in an error on every rank concerned: in time, in one sentence, on no other network."""
import json
import re
import subprocess
import time

import pytest

from conftest import Lab

TIMEOUT = 3      # of a connection: NCCL_RELAY_CONNECT_TIMEOUT
HOP, RECOVER = 2, 3
MARGIN = 4       # NCCL's own start and end, on busy cores
MIB = 1 << 20
SMALL = "all_reduce -b 8 -e 8 -n 1 -w 0"
KNOBS = {"NCCL_RELAY_CONNECT_TIMEOUT": str(TIMEOUT), "NCCL_RELAY_HOP_TIMEOUT": str(HOP),
         "NCCL_RELAY_RECOVER_TIMEOUT": str(RECOVER), "NCCL_RELAY_LINGER": "2"}

pytestmark = pytest.mark.nccl


def faulty(lab, command, topology="chain:3", options=(), env=None, prepare="true"):
    """Runs it in a shell per rank, which says how the rank ended, and when."""
    script = (f"{prepare}; start=$(date +%s.%N); {lab.rank} {command}; status=$?; "
              "echo ended with status $status after $(echo $(date +%s.%N) - $start | bc) s; exit $status")
    return lab.run(topology, "sh", "-c", script, env={**KNOBS, **(env or {})}, deadline=90,
                   options=["--timeout", "40", "--grace", "30", *options])


def check_error(run, within, ranks="ABC"):
    """Every rank ended by itself, with an error, in time, and nothing was sent elsewhere."""
    run.failed()
    assert run.status != 124, run.text()
    for node in ranks:
        ended = re.search(rf"^{node}\| ended with status (\d+) after ([\d.]+) s", run.output, re.M)
        assert ended, f"{node} did not end by itself\n{run.text()}"
        assert ended[1] != "0", run.text()
        assert float(ended[2]) < within, run.text()
    assert "via NET/Socket" not in run.output and "Using network Socket" not in run.output
    for node in run.counters:
        assert run.counters[node]["ctl"]["tx_bytes"] < MIB, run.counters
    return run


def warning(run, *words):
    """One sentence of the plugin's, which NCCL shows at its default level for problems."""
    line = run.says("NCCL WARN NET/Relay", *words)
    assert line.count("NET/Relay") == 1, line
    return line


@pytest.fixture
def declared(lab, tmp_path):
    """A fabric.json made from that of chain:3."""
    def make(name, change):
        done = subprocess.run([lab.binary, "lab", "fabric", "chain:3"], capture_output=True, text=True, timeout=10,
                              check=True)
        fabric = json.loads(done.stdout)
        text = change(fabric)
        path = tmp_path / name
        path.write_text(text if isinstance(text, str) else json.dumps(fabric, indent=1))
        return str(path)
    return make


# Before and while connections are made ---------------------------------------------------------------------------

def test_two_islands_have_no_path_between_them(lab, declared):
    islands = declared("islands.json", lambda fabric: fabric["links"].pop())
    run = check_error(faulty(lab, SMALL, env={"NCCL_RELAY_FABRIC": islands}), TIMEOUT + MARGIN)
    warning(run, "no connection from B to C", "no path from B to C: the links of B reach only A", "declare the missing link")
    warning(run, "no connection from C to A", "no path from C to A: the links of C reach no other node")


def test_no_time_is_lost_on_a_path_that_can_never_be(lab, declared):
    islands = declared("islands.json", lambda fabric: fabric["links"].pop())
    run = faulty(lab, SMALL, env={"NCCL_RELAY_FABRIC": islands, "NCCL_RELAY_CONNECT_TIMEOUT": "30"},
                 options=["--grace", "2"])
    check_error(run, MARGIN, "BC")  # A, which could only wait for C, was ended with them


def rename_c(fabric):
    return json.dumps(fabric).replace('"C"', '"D"').replace('"C/cb"', '"D/cb"')


def test_a_node_that_one_file_does_not_know(lab, declared):
    other = declared("other.json", rename_c)
    run = check_error(faulty(lab, SMALL, options=["--node-fabric", f"C={other}"]), TIMEOUT + MARGIN)
    warning(run, "hold different fabrics", "compare the files that NCCL_RELAY_FABRIC names")


def test_a_relay_with_another_file(lab, declared):
    other = declared("other.json", lambda fabric: fabric["links"].pop())
    run = faulty(lab, SMALL, options=["--ranks", "A,C", "--node-fabric", f"B={other}"])
    check_error(run, TIMEOUT + MARGIN, "AC")
    warning(run, "A", "C", "B and A hold different fabrics", "compare the files that NCCL_RELAY_FABRIC names on both")


def test_no_agent_on_the_relay(lab):
    run = faulty(lab, SMALL, options=["--ranks", "A,C", "--agents", "none"])
    check_error(run, TIMEOUT + MARGIN, "AC")
    warning(run, f"no connection from A to C within {TIMEOUT} s (NCCL_RELAY_CONNECT_TIMEOUT)",
            "C is joined to A only through B", "no agent answers over link A-B", "start `nccl-relay agent` there")
    warning(run, "no connection from C to A", "over link C-B")


def test_an_agent_that_comes_late_is_waited_for(lab):
    late = f"[ $NCCL_HOSTID != B ] || sleep 1"
    run = faulty(lab, SMALL, prepare=late, env={"NCCL_RELAY_CONNECT_TIMEOUT": "20"})
    run.ok()


def test_no_agent_where_the_plugin_may_not_start_one(lab):
    # The others wait in NCCL's own bootstrap for a rank that never comes: their launcher's business.
    run = faulty(lab, SMALL, options=["--no-auto-agent", "B", "--grace", "0.5"])
    check_error(run, MARGIN, "B")
    warning(run, "no agent answers on this node (@nccl-relay)", "start `nccl-relay agent`")


STRANGER = "import socket; s = socket.create_server(('10.77.0.2', 21517))\nwhile True: s.accept()[0].close()"


def test_something_else_has_the_agents_port(lab):
    run = faulty(lab, SMALL, prepare=f'[ $NCCL_HOSTID != B ] || {{ python3 -c "{STRANGER}" & sleep 0.5; }}',
                 options=["--grace", "0.5"])
    check_error(run, MARGIN, "B")
    warning(run, "this node's agent cannot start", "10.77.0.2:21517 of interface ba", "Address already in use")


def test_something_else_answers_on_the_agents_port_of_the_relay(lab):
    """It takes the call and hangs up."""
    run = faulty(lab, SMALL, prepare=f'export WORLD_SIZE=2; [ $NCCL_HOSTID != B ] || exec python3 -c "{STRANGER}"',
                 options=["--ranks", "A,C,B", "--grace", str(TIMEOUT + 2)])
    check_error(run, TIMEOUT + MARGIN, "AC")
    warning(run, f"no connection from A to C within {TIMEOUT} s", "link A-B")
    warning(run, f"no connection from C to A within {TIMEOUT} s", "link C-B")


def test_the_ranks_ports_differ(lab):
    run = faulty(lab, SMALL, options=["--ranks", "A,C"], prepare="[ $NCCL_HOSTID != C ] || export NCCL_RELAY_PORT=21518")
    check_error(run, TIMEOUT + MARGIN, "AC")
    warning(run, "no connection from A to C", "no agent answers on C over link B-C", "10.77.0.6:21517 on bc")


# A wrong declaration or environment --------------------------------------------------------------------------------

def broken_brace(fabric):
    return json.dumps(fabric, indent=1)[:-1]


def unknown_port(fabric):
    fabric["links"][1]["ends"][0] = "B/bq"


def strange_addresses(fabric):
    return json.dumps(fabric).replace("10.77.", "10.66.")


@pytest.mark.parametrize("change,words", [
    (broken_brace, ["bad.json:"]),
    (unknown_port, ['node B has no port "bq", did you mean "ba"?', "bad.json:"]),
    (strange_addresses, ["no node of the declared fabric has an address of this node", "10.77.0.2", "B ba 10.66.0.2"]),
], ids=["syntax", "unknown-port", "addresses"])
def test_a_wrong_fabric_file_is_named_with_line_and_reason(lab, declared, change, words):
    bad = declared("bad.json", change)
    run = check_error(faulty(lab, SMALL, env={"NCCL_RELAY_FABRIC": bad}, options=["--agents", "none"]), MARGIN)
    for node in "ABC":
        assert re.search(rf"^{node}\|.*NET/Relay init", run.output, re.M), run.text()
    warning(run, "init", "this node's agent cannot start", *words)


@pytest.mark.parametrize("name,value,words", [
    ("NCCL_RELAY_FABRIC", "/nowhere/fabric.json", ["/nowhere/fabric.json", "No such file"]),
    ("NCCL_RELAY_FABRIC", "", ["no fabric is declared", "set NCCL_RELAY_FABRIC"]),
    ("NCCL_RELAY_FABRIK", "/x", ["unknown variable NCCL_RELAY_FABRIK", "did you mean NCCL_RELAY_FABRIC?"]),
    ("NCCL_RELAY_PORT", "99999", ["NCCL_RELAY_PORT='99999'", "1..32767"]),
    ("NCCL_RELAY_SEGMENT", "1000000", ["NCCL_RELAY_SEGMENT", "128"]),
    ("NCCL_RELAY_AGENT", "maybe", ["NCCL_RELAY_AGENT='maybe'", "auto", "off"]),
])
def test_a_wrong_knob_is_named(lab, name, value, words):
    run = check_error(faulty(lab, SMALL, env={name: value}, options=["--agents", "none"]), MARGIN)
    warning(run, "init", *words)


# During traffic ----------------------------------------------------------------------------------------------------

def during(lab, fault, at=1.5, command="fault -b 4M --timeout 30", **kwargs):
    """`fault` ends with 0 on a rank that was told of an error, and with 1 on one that was not."""
    start = time.monotonic()
    run = faulty(lab, command, options=[*fault, *kwargs.pop("options", ())], **kwargs)
    assert run.status != 124 and time.monotonic() - start < 40, run.text()
    return run


def told(run, node, within, at=1.5):
    """Seconds from the fault until the rank of this node was told."""
    line = re.search(rf"^{node}\| rank \d: fault: (\d+) operations, then error (\d+) .* after ([\d.]+) s.*$", run.output,
                     re.M)
    assert line, f"{node} was not told\n{run.text()}"
    assert re.search(rf"^{node}\| ended with status 0", run.output, re.M), run.text()
    # From the ranks' start: rather too early than too late.
    ended = float(re.search(rf"^{node}\| ended with status 0 after ([\d.]+) s", run.output, re.M)[1])
    assert ended < at + within, run.text()
    assert "via NET/Socket" not in run.output
    for interfaces in run.counters.values():
        assert interfaces["ctl"]["tx_bytes"] < MIB, run.counters
    return ended - at


@pytest.mark.parametrize("link", ["A-B", "B-C"])
@pytest.mark.parametrize("kind", ["cut", "drop"])
def test_a_cable_that_fails_is_told_to_every_rank(lab, link, kind):
    run = during(lab, [f"--{kind}", f"{link}@1.5s"])
    for node in "ABC":
        told(run, node, HOP + MARGIN)
    left, right = link.split("-")
    cable = f"{left.lower()}{right.lower()}--{right.lower()}{left.lower()}"
    for node in link.split("-"):
        assert re.search(rf"^{node}\|.*NET/Relay.*connection with .*: check the cable of link .*{cable}", run.output,
                         re.M), run.text()
    assert f"from here towards {'A' if link == 'A-B' else 'C'}, broke" in run.agent_logs["B"], run.text()


def test_a_killed_rank_is_told_to_the_others_at_once(lab):
    run = during(lab, ["--kill", "C@1.5s"])
    for node in "AB":
        told(run, node, 2)
    run.says("connection with C")


def test_a_killed_relay_is_told_at_once(lab):
    run = during(lab, ["--kill-agent", "B@1.5s"], options=["--ranks", "A,C"])
    for node in "AC":
        told(run, node, 2)
    run.says("connection with", "bc--cb")


def test_a_killed_agent_does_not_end_direct_connections(lab):
    run = during(lab, ["--kill-agent", "A@1s", "--kill-agent", "C@1s"], command="all_reduce -b 8 -e 8 -n 8 -w 0 --hold 0.2")
    run.ok()
    assert "Out of bounds values : 0 OK" in run.output


def test_a_killed_agent_is_replaced_for_the_next_job(lab):
    run = lab.run("chain:3", "sh", "-c", f"{lab.rank} {SMALL} && sleep 1.5 && MASTER_PORT=29501 {lab.rank} {SMALL}",
                  options=["--kill-agent", "A@1.5s", "--kill-agent", "B@1.5s", "--timeout", "40"], env=KNOBS)
    run.ok()
    assert run.output.count("Out of bounds values : 0 OK") == 2


def test_an_agent_killed_before_the_first_connection_is_replaced(lab):
    run = faulty(lab, SMALL, prepare="sleep 0.6", options=["--agents", "all", "--kill-agent", "B@0.2s"])
    run.ok()
