"""What is missing or breaks ends in an error on every rank concerned: in time, in one sentence, on no other network."""
import json
import re
import subprocess

import pytest

from midway import midway

TIMEOUT = 3      # of a connection: NCCL_RELAY_CONNECT_TIMEOUT
HOP, RECOVER = 2, 3
MARGIN = 8       # NCCL's own start and end on busy cores, in a kernel in which other labs begin and end
MIB = 1 << 20
TRAFFIC = "fault -b 1M --timeout 30"  # longer than any error may take to come
SMALL = "all_reduce -b 8 -e 8 -n 1 -w 0"
KNOBS = {"NCCL_RELAY_CONNECT_TIMEOUT": str(TIMEOUT), "NCCL_RELAY_HOP_TIMEOUT": str(HOP),
         "NCCL_RELAY_RECOVER_TIMEOUT": str(RECOVER), "NCCL_RELAY_LINGER": "2"}
LATE = {**KNOBS, "NCCL_RELAY_HOP_TIMEOUT": "30", "NCCL_RELAY_RECOVER_TIMEOUT": "30"}  # for what no deadline tells
PATIENT = {**KNOBS, "NCCL_RELAY_CONNECT_TIMEOUT": "20"}  # where nothing but a busy machine keeps a connection waiting

pytestmark = pytest.mark.nccl


def faulty(lab, command, options=(), env=None, prepare="true", grace=30):
    """Runs it in a shell per rank, which says how the rank ended, and when."""
    script = (f"{prepare}; start=$(date +%s%N); {lab.rank} {command}; status=$?; ms=$((($(date +%s%N) - start) / 1000000)); "
              "echo ended with status $status after $((ms / 1000)).$(printf %03d $((ms % 1000))) s; exit $status")
    return lab.run("chain:3", "sh", "-c", script, env={**KNOBS, **(env or {})}, deadline=90,
                   options=["--timeout", "60", "--grace", str(grace), *options])


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
    run = faulty(lab, SMALL, env={"NCCL_RELAY_FABRIC": islands, "NCCL_RELAY_CONNECT_TIMEOUT": "30"}, grace=2)
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
    run = faulty(lab, SMALL, options=["--ranks", "A,C", "--agents", "none", "--start-agent", "B@3s"],
                 env=PATIENT).ok()
    assert "did not come" not in run.output, run.text()
    run.had_agents("ABC", 1)


def test_no_agent_where_the_plugin_may_not_start_one(lab):
    # The others wait in NCCL's own bootstrap for a rank that never comes: their launcher's business.
    run = faulty(lab, SMALL, options=["--no-auto-agent", "B"], grace=0.5)
    check_error(run, MARGIN, "B")
    warning(run, "no agent answers on this node (@nccl-relay)", "start `nccl-relay agent`")


STRANGER = "import socket; s = socket.create_server(('10.77.0.2', 21517))\nwhile True: s.accept()[0].close()"


LISTENS = "until grep -q :540D /proc/net/tcp; do sleep 0.05; done"  # on 21517, as the kernel spells it


def test_something_else_has_the_agents_port(lab):
    run = faulty(lab, SMALL, prepare=f'[ $NCCL_HOSTID != B ] || {{ python3 -c "{STRANGER}" & {LISTENS}; }}', grace=0.5)
    check_error(run, MARGIN, "B")
    warning(run, "this node's agent cannot start", "10.77.0.2:21517 of interface ba", "Address already in use")


def test_something_else_answers_on_the_agents_port_of_the_relay(lab):
    """It takes the call and hangs up."""
    run = faulty(lab, SMALL, prepare=f'export WORLD_SIZE=2; [ $NCCL_HOSTID != B ] || exec python3 -c "{STRANGER}"',
                 options=["--ranks", "A,C,B"], grace=1.5)
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
    ("NCCL_RELAY_FABRIK", "/x", ["unknown variable NCCL_RELAY_FABRIK", "did you mean NCCL_RELAY_FABRIC?"]),
    ("NCCL_RELAY_PORT", "99999", ["NCCL_RELAY_PORT='99999'", "1..32767"]),
    ("NCCL_RELAY_SEGMENT", "1000000", ["NCCL_RELAY_SEGMENT", "128"]),
    ("NCCL_RELAY_AGENT", "maybe", ["NCCL_RELAY_AGENT='maybe'", "auto", "off"]),
])
def test_a_wrong_knob_is_named(lab, name, value, words):
    run = check_error(faulty(lab, SMALL, env={name: value}, options=["--agents", "none"]), MARGIN)
    warning(run, "init", *words)


# During traffic ----------------------------------------------------------------------------------------------------

def check_error_came(run, node, before):
    """NCCL's own abort and the end of the process come afterwards, and take what a busy machine takes."""
    told = re.search(rf"^{node}\| rank \d: fault: .* then error .* after ([\d.]+) s, abort", run.output, re.M)
    assert told and float(told[1]) < before, run.text()


def check_told(run, at, within, nodes="ABC"):
    """Every rank was told by NCCL in time, and said so: nccl_perf's `fault` ends with 0 if it was."""
    for node in nodes:
        ended = re.search(rf"^{node}\| ended with status (\d+) after ([\d.]+) s", run.output, re.M)
        assert ended and ended[1] == "0", f"{node} was not told\n{run.text()}"
        check_error_came(run, node, at + within)
    assert "via NET/Socket" not in run.output
    for interfaces in run.counters.values():
        assert interfaces["ctl"]["tx_bytes"] < MIB, run.counters


@pytest.mark.parametrize("link", ["A-B", "B-C"])
@pytest.mark.parametrize("kind", ["cut", "drop"])
def test_a_cable_that_fails_is_told_to_every_rank(lab, link, kind):
    run, at = midway(lambda at: faulty(lab, TRAFFIC, options=[f"--{kind}", f"{link}@{at}s"]), "ABC")
    check_told(run, at, HOP + RECOVER + MARGIN)
    cable = "ab--ba" if link == "A-B" else "bc--cb"
    turned = "ba--ab" if link == "A-B" else "cb--bc"
    # At least one of its two ends says so; the other may first hear of it from a rank that has given up. Where nothing but
    # silence tells of it, the whole path may have been given up before its hop was.
    named = f"connection with .*: check the cable of link .*({cable}|{turned})"
    silent = f"connection with .*: no sign of life .*: a node or cable on .*({cable}|{turned}).* is stopped or cut"
    assert re.search(rf"^[{link}]\|.*NET/Relay.*{named}", run.output, re.M) or (
        kind == "drop" and re.search(f"NET/Relay.*{silent}", run.output)), run.text()
    end = "A" if link == "A-B" else "C"
    assert re.search(f"from here towards {end}, broke|link (A-B|B-A|B-C|C-B) .* is down: no carrier", run.agent_logs["B"]), run.text()


def test_a_killed_rank_is_told_to_the_others_at_once(lab):
    run, at = midway(lambda at: faulty(lab, TRAFFIC, options=["--kill", f"C@{at}s"], env=LATE), "AB")
    check_told(run, at, MARGIN, "AB")  # its agent has died with it: it takes a second to be sure
    run.says("NCCL WARN NET/Relay", "connection with C", "the peer has ended")


def test_a_neighbour_that_dies_with_its_agent_is_told_of_in_a_fabric_that_found_itself(lab):
    """Nobody is left to say that it is gone, and the fabric knows it no more: long before any deadline all the same."""
    run, at = midway(lambda at: lab.run("chain:2", "sh", "-c", f"exec {lab.rank} {TRAFFIC}", deadline=90, env=LATE, options=[
        "--discover", "--kill", f"B@{at}s", "--timeout", "60", "--grace", "40"]), "A")
    check_error_came(run, "A", at + MARGIN)
    warning(run, "connection with B", "the peer has ended")


def test_a_killed_relay_is_told_where_there_is_no_other_way(lab):
    run, at = midway(lambda at: faulty(lab, TRAFFIC, options=["--ranks", "A,C", "--kill-agent", f"B@{at}s"]), "AC")
    check_told(run, at, RECOVER + MARGIN, "AC")
    over_b = "A ab--ba B bc--cb C|C cb--bc B ba--ab A"  # whichever of the two connections is driven first
    assert re.search(f"NET/Relay.*connection with [AC] over ({over_b}): no other way within {RECOVER} s .*no agent answers "
                     ".*the peer or an agent on the way has ended", run.output), run.text()


KILL_OWN_AGENT = ('for p in $(pgrep -x nccl-relay); do [ $(readlink /proc/$p/ns/net) != $(readlink /proc/self/ns/net) ] '
                  '|| kill -9 $p; done')


def test_the_death_of_the_agents_at_its_ends_does_not_end_a_connection(lab):
    """They handed it over: only B relays."""
    job = f"stdbuf -oL {lab.rank} all_reduce -b 8 -e 8 -n 8 -w 0 --hold 0.2"
    script = (f"out=$(mktemp); {job} >$out 2>&1 & job=$!; until grep -q 'Init COMPLETE' $out; do sleep 0.05; done; "
              f"[ $NCCL_HOSTID = B ] || {{ {KILL_OWN_AGENT}; }}; wait $job; status=$?; cat $out; rm $out; exit $status")
    run = lab.run("chain:3", "sh", "-c", script, env=PATIENT, options=["--timeout", "40"]).ok()
    assert "Out of bounds values : 0 OK" in run.output
    run.says("the agent of node A is gone")
    run.says("the agent of node C is gone")


def test_an_agent_that_was_killed_is_replaced_for_the_next_job(lab):
    run = lab.run("chain:3", "sh", "-c", f"{lab.rank} {SMALL} && {{ {KILL_OWN_AGENT}; MASTER_PORT=29600 {lab.rank} {SMALL}; }}",
                  options=["--timeout", "40"], env=PATIENT).ok()
    assert run.output.count("Out of bounds values : 0 OK") == 2
    run.had_agents("ABC", 2)


def test_an_agent_killed_before_the_first_job_is_replaced(lab):
    faulty(lab, SMALL, prepare=KILL_OWN_AGENT, options=["--agents", "all"], env=PATIENT).ok()
