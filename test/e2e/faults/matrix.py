"""What becomes of a job when something breaks: every workload, every fault, every fabric, written down beforehand.

on     it goes on, and every byte is right: another path exists, or the fault passes
error  it ends with an error on every rank, within the deadline: no path is left
once   it ends with an error on every rank at once: a peer is dead, and no path would help
"""

WORKLOADS = {
    "all_reduce": "running all the time",
    "alltoall": "running all the time",
    "sendrecv": "running all the time",
    "idle": "everything is connected; the fault comes while nothing is sent; then an all-reduce runs",
    "init": "a communicator after the other: the fault comes while one of them is made",
    "close": "the fault comes when some ranks have closed and the others have not",
}

FAULTS = {
    "cut": "a cable is cut for good",
    "flap": "a cable goes down and up ten times",
    "slow": "a cable has 1 % of its speed",
    "relay-kill": "the agent of a node between the ranks is killed",
    "relay-stop": "it is stopped for a while",
    "restart": "it is killed, and another one is started",
    "drain": "it is asked to end",
    "loss": "a cable loses 1 % of the packets",
    "mtu": "a cable's MTU drops",
    "hole": "what is between a cable's ends passes less than their MTU, which stays",
    "peer-kill": "a rank is killed",
    "peer-stop": "a rank is stopped for longer than every timeout of messages",
    "late": "a rank posts its first receives late, by more than every timeout",
}

TABLE = """
chain:3       all_reduce  alltoall  sendrecv  idle   init   close
  cut         error       error     error     error  error  on
  flap        on          on        on        on     on     on
  slow        on          on        on        on     on     on
  relay-kill  error       error     error     error  error  on
  relay-stop  on          on        on        on     on     on
  restart     on          on        on        on     on     on
  drain       on          on        on        on     error  on
  loss        on          on        on        on     on     on
  mtu         on          on        on        on     on     on
  hole        on          on        on        on     on     on
  peer-kill   once        once      once      once   once   once
  peer-stop   on          on        on        on     on     on
  late        on          on        on        on     on     on

ring:4        all_reduce  alltoall  sendrecv  idle   init   close
  cut         on          on        on        on     on     on
  flap        on          on        on        on     on     on
  slow        on          on        on        on     on     on
  relay-kill  on          on        on        on     on     on
  relay-stop  on          on        on        on     on     on
  restart     on          on        on        on     on     on
  drain       on          on        on        on     on     on
  loss        on          on        on        on     on     on
  mtu         on          on        on        on     on     on
  hole        on          on        on        on     on     on
  peer-kill   once        once      once      once   once   once
  peer-stop   on          on        on        on     on     on
  late        on          on        on        on     on     on

grid:2x3      all_reduce  alltoall  sendrecv  idle   init   close
  cut         on          on        on        on     on     on
  flap        on          on        on        on     on     on
  slow        on          on        on        on     on     on
  relay-kill  on          on        on        on     on     on
  relay-stop  on          on        on        on     on     on
  restart     on          on        on        on     on     on
  drain       on          on        on        on     on     on
  loss        on          on        on        on     on     on
  mtu         on          on        on        on     on     on
  hole        on          on        on        on     on     on
  peer-kill   once        once      once      once   once   once
  peer-stop   on          on        on        on     on     on
  late        on          on        on        on     on     on
"""


def read(text):
    """{(workload, fault, topology): outcome}."""
    cells = {}
    for line in text.splitlines():
        name, *words = line.split() or [""]
        if not words:
            continue
        if not line.startswith(" "):
            topology, workloads = name, words
            continue
        cells |= {(workload, name, topology): word for workload, word in zip(workloads, words, strict=True)}
    return cells


EXPECTED = read(TABLE)
TOPOLOGIES = ("chain:3", "ring:4", "grid:2x3")
assert set(EXPECTED) == {(w, f, t) for w in WORKLOADS for f in FAULTS for t in TOPOLOGIES}
assert set(EXPECTED.values()) == {"on", "error", "once"}

# Where it happens: the same letters in every fabric. B is the relay; it then has no rank, so that only its agent is there.
NODES = {"chain:3": "ABC", "ring:4": "ABCD", "grid:2x3": "ABCDEF"}
LINK, RELAY, PEER = "B-C", "B", "C"
RELAYED = ("relay-kill", "relay-stop", "restart", "drain")

# Seconds. Those of messages are short, so that cells are; a peer that is stopped or late is so for longer than these.
KNOBS = {"CONNECT": 6, "RECOVER": 3, "HOP": 1, "LINGER": 2}
LATE_KNOBS = {"CONNECT": 3, "RECOVER": 2, "HOP": 1, "LINGER": 2}
# A busy machine flaps slowly, and whoever is done first waits for the others as long as they may take to recover.
FLAP_KNOBS = {"CONNECT": 12, "RECOVER": 12, "HOP": 1, "LINGER": 12}
# Five rounds of padded hellos find it, and a circuit that is in doubt for three seconds is replaced by one of small packets.
HOLE_KNOBS = {"CONNECT": 15, "RECOVER": 15, "HOP": 1, "LINGER": 2}
STOPPED, LATE, PAUSED = 4, 7, 2
FLAPS, DOWN, UP = 10, 0.06, 0.06


def knobs(fault):
    return {"late": LATE_KNOBS, "flap": FLAP_KNOBS, "hole": HOLE_KNOBS}.get(fault, KNOBS)


def lasts(fault):
    """From its first moment until the job may be expected to work again."""
    return {"flap": FLAPS * (DOWN + UP), "relay-stop": PAUSED, "peer-stop": STOPPED, "restart": 0.3, "hole": 10}.get(fault, 0)


def options(fault, at):
    """Of `nccl-relay lab run`, for a fault that begins `at` seconds after the ranks' start."""
    one = {"cut": f"--cut {LINK}", "slow": f"--slow {LINK}=1%", "loss": f"--loss {LINK}=1%", "mtu": f"--mtu-at {LINK}=1280",
           "relay-kill": f"--kill-agent {RELAY}", "drain": f"--drain-agent {RELAY}", "peer-kill": f"--kill-ranks {PEER}"}
    if fault == "hole":
        return [f"--narrow {LINK}=1500@{at:.3f}s", "--mtu 9000"]
    if fault in one:
        return [f"{one[fault]}@{at:.3f}s"]
    if fault == "flap":
        times = [at + i * (DOWN + UP) for i in range(FLAPS)]
        return [o for t in times for o in (f"--cut {LINK}@{t:.3f}s", f"--heal {LINK}@{t + DOWN:.3f}s")]
    if fault == "relay-stop":
        return [f"--stop-agent {RELAY}@{at:.3f}s", f"--cont-agent {RELAY}@{at + PAUSED:.3f}s"]
    if fault == "restart":
        return [f"--kill-agent {RELAY}@{at:.3f}s", f"--start-agent {RELAY}@{at + lasts(fault):.3f}s"]
    if fault == "peer-stop":  # its agent goes on: a debugger stops no more than a rank
        return [f"--stop {PEER}@{at:.3f}s", f"--cont-agent {PEER}@{at + 0.02:.3f}s", f"--cont {PEER}@{at + STOPPED:.3f}s"]
    return []  # late: the rank's own doing


def deadline(workload, fault, expected):
    """Seconds from the fault (idle: from the first message after it) to the error of the last rank, on a machine without
    other work. A rank that gives up tells the others, who need no deadline of their own."""
    if expected == "once":
        return 1
    set_up = knobs(fault)["CONNECT"] if workload == "init" else 0
    return max(set_up, knobs(fault)["RECOVER"])
