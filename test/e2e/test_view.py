"""What an operator sees while bytes flow: status, fabric, explain, top, metrics. A to C over B, one connection set."""
import json
import os
import pathlib
import re
import shlex
import subprocess
import time
import uuid
import xml.etree.ElementTree

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RATE = 100e6
METRICS = "127.0.0.1:9417"
PYTHON = "/usr/bin/python3"  # Debian's, which has prometheus_client


class Node:
    """Runs the tools where one node's agent answers."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name

    def start(self, *command, **kwargs):
        kwargs.setdefault("stdout", subprocess.DEVNULL)
        kwargs.setdefault("stderr", subprocess.DEVNULL)
        args = [self.lab.binary, "lab", "exec", self.name, "--name", self.lab.name, "--", *command]
        return subprocess.Popen(args, stdin=subprocess.DEVNULL, text=True, **kwargs)

    def run(self, *command, status=0):
        running = self.start(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = running.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            running.kill()
            raise
        assert running.returncode == status, f"{command} ended with {running.returncode}\n{out}\n{err}"
        return out if status == 0 else out + err

    def relay(self, *arguments, status=0):
        return self.run(self.lab.binary, *arguments, status=status)

    def json(self, *arguments):
        return json.loads(self.relay(*arguments))

    def get(self, path):
        """Status and body of an HTTP request to this node's own loopback."""
        script = ("import urllib.request, urllib.error, sys\n"
                  "try: answer = urllib.request.urlopen(sys.argv[1], timeout=10)\n"
                  "except urllib.error.HTTPError as refused: answer = refused\n"
                  "print(answer.status); print(answer.read().decode(), end='')")
        status, _, body = self.run(PYTHON, "-c", script, f"http://{METRICS}{path}").partition("\n")
        return int(status), body


class ViewLab:
    def __init__(self, build, folder):
        self.binary, self.folder = str(build / "nccl-relay"), folder
        self.plugin = str(build / "libnccl-net-relay.so")
        self.name = f"view-{uuid.uuid4().hex[:8]}"
        self.nodes = {name: Node(self, name) for name in "ABC"}
        self.agents, self.ranks = {}, []

    def up(self):
        subprocess.run([self.binary, "lab", "up", "chain:3", "--name", self.name, "--agents", "none", "--rate",
                        f"{RATE / 1e6:.0f}mbit"], check=True, timeout=60, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL)
        config = self.folder / "agent.json"
        config.write_text(json.dumps({"metrics": METRICS, "ifname": "^ctl"}))
        for name, node in self.nodes.items():
            with open(self.folder / f"agent-{name}.log", "w") as log:
                self.agents[name] = node.start("env", "-u", "NCCL_RELAY_FABRIC", self.binary, "agent", "--config",
                                               str(config), stderr=log)
        for node in self.nodes.values():
            await_(lambda node=node: self.whole(node), self.logs)

    def whole(self, node):
        asked = node.start(self.binary, "status", "--json", stdout=subprocess.PIPE)
        text, _ = asked.communicate(timeout=60)
        return asked.returncode == 0 and json.loads(text)["fabric"]["links"] == 2

    def traffic(self):
        """Rank 0 on A and rank 1 on C exchange messages for as long as anybody looks."""
        for rank, name in enumerate("AC"):
            env = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1, "MASTER_PORT": 29500,
                   "MASTER_ADDR": "10.88.0.1", "NCCL_HOSTID": name, "NCCL_NET_PLUGIN": self.plugin}
            words = " ".join(f"{k}={shlex.quote(str(v))}" for k, v in env.items())
            with open(self.folder / f"rank-{name}.log", "w") as log:
                self.ranks.append(self.nodes[name].start(
                    "sh", "-c", f"exec env {words} {self.binary} perf sendrecv -b 256K -e 256K -n 100000 -c 0",
                    stdout=log, stderr=log))
        await_(lambda: self.nodes["B"].json("status", "--json")["relayed"] > 0, self.logs)

    def logs(self):
        return "".join(f"--- {log.name}\n{log.read_text()}" for log in sorted(self.folder.glob("*.log")))

    def down(self):
        subprocess.run([self.binary, "lab", "down", "--name", self.name], timeout=60, stdin=subprocess.DEVNULL)
        for running in [*self.ranks, *self.agents.values()]:
            running.kill()
            running.wait(timeout=60)


def await_(condition, why=lambda: ""):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)


@pytest.fixture(scope="module")
def busy(build, tmp_path_factory):
    """A chain with bytes on their way from A to C and from C to A. Nobody changes it."""
    lab = ViewLab(build, tmp_path_factory.mktemp("view"))
    try:
        lab.up()
        lab.traffic()
        yield lab.nodes
    finally:
        lab.down()


def last_top(node, seconds=2):
    """Over one interval, after the first, so that every circuit has a rate."""
    return json.loads(node.relay("top", "--json", "--interval", str(seconds), "--count", "2").splitlines()[-1])


def test_the_relay_shows_the_relayed_bytes(busy):
    before = busy["B"].json("status", "--json")
    after = busy["B"].json("status", "--json")
    assert (after["name"], after["auto"], after["draining"]) == ("B", False, False)
    assert after["fabric"]["nodes"] == 3 and after["fabric"]["links"] == 2
    assert {n["node"] for port in after["ports"] for n in port["neighbours"]} == {"A", "C"}
    assert all(port["up"] for port in after["ports"])
    assert after["ends"]["relay"] == after["relayed"] == len(after["circuits"]) > 0
    assert after["ends"]["source"] == after["ends"]["destination"] == 0
    moved = [c["bytes_forward"] + c["bytes_backward"] for c in after["circuits"]]
    assert sum(moved) > 1 << 18
    assert after["counters"]["relayed_bytes"] > before["counters"]["relayed_bytes"]
    # The kernel's count of a circuit is the relay's, but for what moved between the two looks.
    told = {c["connection"]: max(hop["received_bytes"] for hop in c["hops"]) for c in after["flows"]["circuits"]}
    for circuit in after["circuits"]:
        relayed = max(circuit["bytes_forward"], circuit["bytes_backward"])
        assert relayed * 0.5 - 1e6 < told[circuit["connection"]] < relayed * 1.5 + 4e6


def test_the_ends_show_their_processes(busy):
    for name in "AC":
        status = busy[name].json("status", "--json")
        ranks = [p for p in status["processes"] if p["plugin"].endswith("libnccl-net-relay.so")]
        assert len(ranks) == 1 and ranks[0]["pid"] > 0 and ranks[0]["build"]
        assert status["ends"]["source"] > 0 and status["ends"]["destination"] > 0 and status["ends"]["relay"] == 0


def test_status_for_people(busy):
    text = busy["B"].relay("status")
    for words in (r"node +B, id [0-9a-f]{16}", r"agent +nccl-relay \S+, pid \d+, up .*, a daemon",
                  r"fabric +\w+.*, 3 nodes, 2 links, agreement [0-9a-f]{16}", r"ports +ba +up .* to A/ab",
                  r" bc +up .* to C/cb", r"circuits +0 start here, 0 end here, \d+ pass",
                  r"relay +A ab--ba B bc--cb C  ", r"descriptors +\d+ of \d+ in use", r"relayed bytes +\d+"):
        assert re.search(words, text), f"no {words} in\n{text}"


def test_top_shows_what_the_shaped_links_let_through(busy):
    top = last_top(busy["B"])
    assert top["node"] == "B" and top["circuits_total"] == len(top["circuits"])
    by_port = {port["port"]: port for port in top["ports"]}
    assert by_port["ba"]["to"] == "A/ab" and by_port["bc"]["to"] == "C/cb"
    for here, there in (("ba", "bc"), ("bc", "ba")):
        rate = by_port[here]["in_bits_s"]
        assert 0.2 * RATE < rate < 1.2 * RATE, top
        assert 0.5 * rate < by_port[there]["out_bits_s"] < 2 * rate, "what comes in on one side goes out on the other"
    # Circuits carry what the ports do, without the headers.
    assert {c["role"] for c in top["circuits"]} == {"relay"}
    assert {c["path"] for c in top["circuits"]} == {"A ab--ba B bc--cb C", "C cb--bc B ba--ab A"}
    for source, port in (("A", "ba"), ("C", "bc")):
        forward = sum(c["forward_bits_s"] for c in top["circuits"] if c["from"] == source)
        back = sum(c["backward_bits_s"] for c in top["circuits"] if c["from"] != source)
        assert 0.7 * by_port[port]["in_bits_s"] < forward + back < 1.1 * by_port[port]["in_bits_s"], top
    assert any(port["rtt_us"] > 0 for port in top["ports"])
    rates = [c["forward_bits_s"] + c["backward_bits_s"] for c in top["circuits"]]
    assert rates == sorted(rates, reverse=True)


def test_top_without_a_terminal_prints_pages(busy):
    text = busy["A"].relay("top", "--interval", "0.2", "--count", "2")
    assert text.count("nccl-relay top: node A") == 2 and "\x1b" not in text
    assert "source" in text and "destination" in text and "PORT" in text


def test_top_gives_the_terminal_back(busy):
    """In a terminal of its own: another screen, figures, and the old screen again after ctrl-C."""
    script = ("import os, pty, sys, time\n"
              "pid, fd = pty.fork()\n"
              "if pid == 0: os.execv(sys.argv[1], [sys.argv[1], 'top', '--interval', '0.1'])\n"
              "text = b''\n"
              "while text.count(b'PORT') < 3: text += os.read(fd, 65536)\n"
              "os.write(fd, b'\\x03')\n"
              "try:\n"
              "    while True: text += os.read(fd, 65536) or sys.exit('closed')\n"
              "except OSError: pass\n"
              "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])); sys.stdout.write(repr(text))")
    status, _, text = busy["B"].run(PYTHON, "-c", script, busy["B"].lab.binary).partition("\n")
    assert status == "0", text
    taken, given = text.find("[?1049h"), text.rfind("[?1049l")
    assert 0 <= taken < given and "[?25h" in text[taken:]


def test_the_fabric_with_what_flows(busy):
    live = busy["A"].json("fabric", "--live")
    assert {n["name"] for n in live["fabric"]["nodes"]} == set("ABC")
    assert live["self"] == "A" and len(live["links"]) == 2
    own = next(link for link in live["links"] if any(end.startswith("A/") for end in link["ends"]))
    assert own["known"] and not own["down"] and own["circuits"] > 0
    assert 0.1 * RATE < own["onward_bits_s"] < 1.3 * RATE and 0.1 * RATE < own["back_bits_s"] < 1.3 * RATE
    assert {(p["from"], p["to"]) for p in live["paths"]} == {("A", "C"), ("C", "A")}
    assert all(p["forward_bits_s"] > 0 for p in live["paths"])


def test_the_fabric_is_a_declaration(busy, tmp_path):
    (tmp_path / "fabric.json").write_text(busy["B"].relay("fabric", "--json"))
    subprocess.run([busy["B"].lab.binary, "lab", "fabric", str(tmp_path / "fabric.json")], check=True, timeout=60,
                   stdout=subprocess.DEVNULL)


def test_the_fabric_drawn(busy):
    text = busy["B"].run("env", "LC_ALL=C.UTF-8", busy["B"].lab.binary, "fabric")
    lines = text.splitlines()
    assert "3 nodes, 2 links, a chain" in lines[0]
    assert [line.strip().split()[0] for line in lines[2:7]] == ["A", "│", "B", "│", "C"], text
    assert re.search(r"│  ab -- ba +\S+ [MG]bit/s tcp  ↓ \S+ [kM]bit/s +↑ \S+ [kM]bit/s +\d+ circuits?", text), text
    assert "(this node)" in lines[4]
    assert re.search(r"A ab--ba B bc--cb C +\d+ circuits? +→ [\d.]+ Mbit/s", text), text
    assert busy["B"].run("env", "LC_ALL=C", busy["B"].lab.binary, "fabric").isascii()


def test_the_fabric_as_a_picture(busy):
    svg = xml.etree.ElementTree.fromstring(busy["B"].relay("fabric", "--svg"))
    words = [t.text for t in svg.iter("{http://www.w3.org/2000/svg}text")]
    for word in ("A", "B", "C", "A:ab", "B:ba", "B:bc", "C:cb"):
        assert word in words
    assert any(re.fullmatch(r"A→B [\d.]+ Mbit/s", word) for word in words), words
    assert not list(svg.iter("{http://www.w3.org/2000/svg}script"))


def test_explain(busy):
    assert re.match(r"A ab--ba B bc--cb C: 2 links, .*, tcp.*\nthere is no other way\n",
                    busy["C"].relay("explain", "A", "C"))
    explained = busy["A"].json("explain", "C", "A", "--json")
    assert explained["path"]["text"] == "C cb--bc B ba--ab A" and explained["alternatives"] == []
    assert "the fabric has no node \"Q\"; it has A, B, C" in busy["A"].relay("explain", "A", "Q", status=2)


def samples(text):
    """Names of metrics and their series, as Prometheus' own parser reads them."""
    parser = pytest.importorskip("prometheus_client.parser")
    out = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            out.setdefault(sample.name, []).append((sample.labels, sample.value))
    return out


def test_metrics_and_health(busy):
    code, body = busy["B"].get("/healthz")
    assert code == 200 and json.loads(body)["status"] == "ok" and json.loads(body)["node"] == "B"
    code, first = busy["B"].get("/metrics")
    assert code == 200
    assert busy["B"].get("/")[0] == 404
    first = samples(first)
    moved = "nccl_relay_relayed_bytes_total"
    await_(lambda: samples(busy["B"].get("/metrics")[1])[moved][0][1] > first[moved][0][1])
    ports = {labels["port"]: labels for labels, _ in first["nccl_relay_port_sent_bytes_total"]}
    assert {port: labels["neighbour"] for port, labels in ports.items()} == {"ba": "A", "bc": "C"}
    roles = {labels["role"]: value for labels, value in first["nccl_relay_circuits"]}
    assert roles["relay"] > 0 and roles["source"] == roles["destination"] == 0
    agreements = {samples(busy[n].get("/metrics")[1])["nccl_relay_fabric_agreement"][0][1] for n in "ABC"}
    assert len(agreements) == 1, "every agent holds the same fabric"


def test_every_metric_of_the_dashboard_is_there(busy):
    text = (ROOT / "docs/grafana.json").read_text()
    wanted = set(re.findall(r"nccl_relay_\w+", text))
    assert len(wanted) > 15 and json.loads(text)["__inputs"][0]["pluginId"] == "prometheus"
    assert wanted <= set(samples(busy["B"].get("/metrics")[1]))


def shape(text):
    """Without figures, names of machines, and how wide columns are."""
    text = re.sub(r"[0-9a-f]{16}|[0-9a-f]{8}\b", "#", text)
    text = re.sub(r"\d+(\.\d+)?( (s|min|h|d|us|ms|B|[kMGT]B|[kMG]?bit/s))?\b", "#", text)
    text = re.sub(r"(# (?:min|h|d) )?#( s| min)?", "#", text)
    return [re.sub(r"[ \t]+", " ", line).strip() for line in text.splitlines() if line.strip()]


def test_the_samples_of_the_documentation_have_the_shape_of_the_truth(busy):
    blocks = re.findall(r"```console\n\$ nccl-relay (\w+)([^\n]*)\n(.*?)```", (ROOT / "docs/operating.md").read_text(),
                        re.DOTALL)
    seen = set()
    for command, arguments, sample in blocks:
        text = busy["B"].run("env", "LC_ALL=C.UTF-8", busy["B"].lab.binary, command, *shlex.split(arguments))
        first = shape(sample)[0], shape(text)[0]
        assert first[0].split()[0] == first[1].split()[0], f"{command}\n{text}"
        labels = {line.split()[0] for line in shape(text)}
        documented = {line.split()[0] for line in shape(sample)}
        # What stands at the beginning of a line is a label, a node, a port or a role: nothing is documented that is not.
        assert documented - {"..."} <= labels, f"{command} {arguments}: {documented - labels} is not in\n{text}"
        seen.add(command)
    assert seen == {"status", "fabric", "explain", "top"}


def test_without_an_agent_each_says_so(build, tmp_path):
    env = {**os.environ, "NCCL_RELAY_SOCKET": f"@nobody-{uuid.uuid4().hex}"}
    for command in (["status"], ["fabric"], ["fabric", "--svg"], ["explain", "A", "B"], ["top", "--json"]):
        done = subprocess.run([str(build / "nccl-relay"), *command], env=env, capture_output=True, text=True,
                              timeout=60)
        assert done.returncode == 1 and done.stdout == "", command
        assert done.stderr.startswith(f"nccl-relay {command[0]}: no agent"), done.stderr
