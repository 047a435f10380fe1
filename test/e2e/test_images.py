"""The images of docker/Dockerfile as docker/images.sh builds them: what is in them, and that their agents relay for
their plugin. `make images` builds them first and sets RELAY_IMAGES."""
import dataclasses
import json
import os
import re
import subprocess

import pytest

from conftest import ROOT
from perf_lab import Perf, PerfLab

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif("RELAY_IMAGES" not in os.environ, reason="no images of this tree: run make images"),
]
MIB = 1 << 20
# A container as an engine makes one, in the network of the caller: its own root file system, processes and mounts.
# usage: container ROOT USER VOLUME "NAME=VALUE ..." COMMAND...; VOLUME is what /run/nccl-relay shall be, or empty
CONTAINER = """
container() {
  unshare --mount --pid --fork --kill-child sh -c '
    set -e
    root=$1 user=$2 volume=$3 environment=$4
    shift 4
    mkdir -p $root/proc $root/sys $root/dev
    mount -t proc proc $root/proc
    mount -t sysfs sysfs $root/sys
    mount --bind /dev $root/dev
    [ -z "$volume" ] || mount --bind $volume $root/run/nccl-relay
    if [ -n "$NCCL_RELAY_FABRIC" ]; then
      install -D -m 644 $NCCL_RELAY_FABRIC $root/etc/nccl-relay/fabric.json
      environment="$environment NCCL_RELAY_FABRIC=/etc/nccl-relay/fabric.json"
    fi
    exec env -i $environment /usr/sbin/chroot --userspec=$user $root "$@"' container "$@"
}
"""
# A's rank has a network of its own, as a pod has, on the LAN alone; it meets its agent by the socket in a volume. B has
# no rank, and its agent no privilege; it stays until both ranks have ended. C's rank is in the job's container, where its
# plugin starts an agent.
NODE = CONTAINER + """
await() { # command...
  for i in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done
  echo "$* did not succeed"
  exit 1
}
inside() { pgrep -P $(pgrep -P $1); } # the first process of what `container` runs in the background
drain() {
  kill $(inside $1)
  wait $1
  echo agent ended with $?
}
pod() { # COMMAND... with a network that has nothing but an address on the LAN
  ip link add pod link ctl type macvlan mode bridge
  unshare --net sh -c '
    echo $$ >$MET/pod
    read moved <$MET/moved
    ip link set lo up && ip address add 10.88.0.101/24 dev pod && ip link set pod up
    exec "$@"' pod "$@" &
  await test -s $MET/pod
  ip link set pod netns $(cat $MET/pod)
  echo >$MET/moved
  wait $!
}
meeting="WORLD_SIZE=2 MASTER_ADDR=10.88.0.3 MASTER_PORT=$MASTER_PORT"
case $NCCL_HOSTID in
A)
  trap 'echo >$MET/A' EXIT
  container $ROOT_A 0:0 $VOLUME "$AGENT_ENV" $AGENT &
  agent=$!
  export NCCL_RELAY_SOCKET=$VOLUME/agent.sock
  await $PLUGIN/nccl-relay status
  pod env $meeting RANK=1 NCCL_SOCKET_IFNAME==pod NCCL_RELAY_AGENT=off \
    NCCL_NET_PLUGIN=$PLUGIN/libnccl-net-relay.so $PLUGIN/nccl-relay perf $PERF || exit
  drain $agent ;;
B)
  container $ROOT_B $USER_B "" "$AGENT_ENV" $AGENT &
  agent=$!
  health="/usr/sbin/chroot --userspec=$USER_B $ROOT_B $HEALTH"
  await $health
  grep -E '^(Uid|CapEff)' /proc/$(inside $agent)/status
  cat $MET/A $MET/C
  $health --json
  drain $agent ;;
C)
  trap 'echo >$MET/C' EXIT
  container $ROOT_C 0:0 "" "$JOB_ENV $meeting RANK=0 NCCL_SOCKET_IFNAME=$NCCL_SOCKET_IFNAME NCCL_DEBUG=INFO" \
    nccl-relay perf $PERF ;;
esac
"""


def buildah(*arguments):
    done = subprocess.run([ROOT / "docker/images.sh", "buildah", *arguments], capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@dataclasses.dataclass
class Container:
    """A writable copy of an image, and what an engine would be told about it."""

    name: str
    root: str
    config: dict

    @property
    def environment(self):
        return self.config["Env"]

    def run(self, *command):
        return buildah("run", "--isolation", "chroot", self.name, "--", *command)

    def files(self):
        paths = [os.path.join(folder, name) for folder, _, names in os.walk(self.root) for name in names]
        return sorted(os.path.relpath(path, self.root) for path in paths)


@pytest.fixture
def containers():
    made = []

    def make(image):
        name = buildah("from", f"localhost/nccl-relay/{image}")
        made.append(name)
        config = json.loads(buildah("inspect", name))["Docker"]["config"]
        return Container(name, buildah("mount", name), config)

    yield make
    for name in made:
        buildah("rm", name)


@pytest.fixture
def box(build):
    return PerfLab(build)


@pytest.mark.parametrize("fabric", ["declared", "discovered"])
def test_agents_in_containers_relay_for_the_plugin_in_a_container(box, containers, tmp_path, fabric):
    agents = [containers("agent"), containers("agent")]
    job, plugin = containers("with-plugin"), containers("plugin")
    volume, met = tmp_path / "run", tmp_path / "met"
    volume.mkdir()
    met.mkdir()
    for fifo in ("A", "C", "moved"):
        os.mkfifo(met / fifo)
    entry = agents[0].config
    env = {
        "ROOT_A": agents[0].root, "ROOT_B": agents[1].root, "ROOT_C": job.root, "PLUGIN": plugin.root,
        "AGENT": " ".join(entry["Entrypoint"]), "AGENT_ENV": " ".join(entry["Env"]),
        "HEALTH": " ".join(entry["Healthcheck"]["Test"][1:]), "USER_B": "65532:65532",
        "JOB_ENV": " ".join(job.environment), "PERF": "all_reduce -b 8 -e 8M -f 32 -n 2 --timeout 30 --json",
        "VOLUME": str(volume), "MET": str(met),
    }
    options = ["--agents", "none", "--timeout", "120", *(["--discover"] if fabric == "discovered" else [])]
    run = box.run("chain:3", "sh", "-c", NODE, options=options, env=env).ok()

    ranks = "".join(line for line in run.output.splitlines(True) if line.startswith("C| "))
    rows = Perf(dataclasses.replace(run, output=ranks)).right()["rows"]
    assert [row["wrong"] for row in rows] == [0] * len(rows) and rows[-1]["size"] == 8 * MIB
    run.says("C| ", "connected to A", " B ")
    run.says("B| Uid:", "65532")
    run.says("B| CapEff:", "0000000000000000")
    relayed = re.search(r'^B\| +"relayed_bytes": (\d+)', run.output, re.M)
    assert relayed and int(relayed[1]) > 32 * MIB, run.text()
    for node, interface in [("A", "ab"), ("B", "bc"), ("C", "cb"), ("B", "ba")]:
        assert run.counters[node][interface]["tx_bytes"] > 16 * MIB, run.counters
    for node in "ABC":
        assert run.counters[node]["ip_forwarded"] == 0 and run.counters[node]["ctl"]["tx_bytes"] < MIB, run.counters
    for node in "AB":
        run.says(f"{node}| agent ended with 0")


def test_the_plugin_image_is_three_names_with_their_licence_and_needs_nothing_but_an_old_libc(containers):
    image = containers("plugin")
    assert image.files() == ["LICENSE", "NOTICE", "libnccl-net-relay.so", "librccl-net-relay.so", "nccl-relay"]
    assert os.readlink(f"{image.root}/librccl-net-relay.so") == "libnccl-net-relay.so"
    subprocess.run([ROOT / "test/lint/check_so.sh", f"{image.root}/libnccl-net-relay.so"], check=True, timeout=60)
    facts = subprocess.run(["objdump", "-p", "-T", f"{image.root}/nccl-relay"], capture_output=True, text=True,
                           check=True, timeout=60).stdout
    needs = set(re.findall(r"NEEDED +(\S+)", facts))
    assert needs <= {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
    assert max(tuple(map(int, v)) for v in re.findall(r"GLIBC_(\d+)\.(\d+)", facts)) <= (2, 35), "Ubuntu 22.04 has 2.35"


def test_the_agent_image_holds_one_program_and_no_settings_of_where_it_was_built(containers):
    image = containers("agent")
    libraries = ("lib", "usr/lib", "etc/libibverbs.d/", "usr/share/doc/")
    programs = [path for path in image.files() if not path.startswith(libraries)]
    assert programs == ["etc/group", "etc/nsswitch.conf", "etc/passwd", "usr/bin/nccl-relay"]
    size = sum(os.path.getsize(os.path.join(image.root, path)) for path in image.files())
    assert size < 40 * MIB, f"{size} bytes"
    assert image.config["Entrypoint"] == ["/usr/bin/nccl-relay", "agent"]
    assert image.run("nccl-relay", "--version")


def test_the_agent_image_has_a_libibverbs_whose_drivers_load(containers):
    image = containers("agent")
    loader = next(path for path in image.files() if re.fullmatch(r"lib\S*/ld-linux-\S+\.so\.\d", path))
    drivers = [path for path in image.files() if path.endswith(".so") and "/libibverbs/" in path]
    assert any("libmlx5" in path for path in drivers), image.files()
    for driver in drivers:
        needs = subprocess.run(["/usr/sbin/chroot", image.root, f"/{loader}", "--list", f"/{driver}"],
                               capture_output=True, text=True, check=True, timeout=60).stdout
        assert "libibverbs.so.1 => " in needs and "not found" not in needs, needs


LOAD = ("import ctypes; print(*(ctypes.c_char_p.in_dll(ctypes.CDLL(f'lib{n}ccl-net-relay.so'), 'ncclNetPlugin_v12')"
        ".value.decode() for n in '%s'))")


def test_python_in_a_container_loads_the_plugin_by_its_name(containers):
    image = containers("with-plugin")
    assert image.run("python3", "-c", LOAD % "nr") == "Relay Relay"
    assert {"LD_LIBRARY_PATH=/opt/nccl-relay:/usr/local/nvidia/lib64", "NCCL_NET_PLUGIN=relay",
            "NCCL_NET=Relay"} <= set(image.environment)
    assert image.run("nccl-relay", "--version"), "it is on the PATH, for those who look into a container"


def test_one_file_mounted_into_a_container_is_enough(containers):
    image = containers("python")
    buildah("copy", image.name, f"{containers('plugin').root}/libnccl-net-relay.so", "/usr/lib/")
    assert image.run("python3", "-c", LOAD % "n") == "Relay"
