"""The real NCCL used in every way its users know: split, many at once, several GPUs, lazily, aborted, registered."""
import pathlib
import re

import pytest

from midway import midway

HERE = pathlib.Path(__file__).parent
MIB = 1 << 20
SIZES = "-b 8 -e 1M -f 64 -n 1 -w 0"
RIGHT = "Out of bounds values : 0 OK"
# NCCL 2.28 forgets NCCL_NET_PLUGIN when the last communicator goes, unless it counts.
AGAIN = {"NCCL_NET_PLUGIN_REF_COUNT": "1"}
# Connections are made when a collective first wants them; without cuMem, 2.28 makes them all at the start.
LAZY = {"NCCL_RUNTIME_CONNECT": "1", "NCCL_CUMEM_ENABLE": "1"}
EAGER = {"NCCL_RUNTIME_CONNECT": "0", "NCCL_CUMEM_ENABLE": "1"}

pytestmark = pytest.mark.nccl


def job(lab, topology, command, options=(), env=None, seconds=120):
    """One nccl_perf per rank; what NCCL logs shows which network it took."""
    run = lab.nccl(topology, command, options=["--timeout", str(seconds), *options], env={**AGAIN, **(env or {})},
                   deadline=seconds + 30)
    assert "via NET/Socket" not in run.output and "Using network Socket" not in run.output, run.text()
    for node, interfaces in run.counters.items():
        # The bootstrap's tens of kilobytes for each communicator, and no data.
        most = MIB + (MIB >> 4) * len(lines(run, f"{node}|", "Init START"))
        assert interfaces.get("ctl", {"tx_bytes": 0})["tx_bytes"] < most, f"data of {node} went over the LAN"
    return run


def check(run, *verdicts):
    """Every rank was right, and data went through the plugin."""
    run.ok()
    run.says("Loaded net plugin Relay")
    run.says("via NET/Relay")
    for verdict in verdicts:
        assert verdict in run.output, run.text()
    return run


def check_program(run, name):
    return check(run, f"# {name}: 0 wrong elements over all ranks")


def lines(run, *words):
    return [line for line in run.output.splitlines() if all(word in line for word in words)]


# Parts and many ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("topology,colors", [("chain:3", "0,1,0"), pytest.param("ring:4", "0,1,0,1", marks=pytest.mark.long)])
def test_a_split_off_part_and_its_parent_are_used_at_once_and_destroyed_in_either_order(lab, topology, colors):
    run = check_program(job(lab, topology, f"split --colors {colors} -n 1 -e 64K"), "split")
    assert len(lines(run, "# split: resources")) == 4
    # Its ring has two ranks, A and C, without a link of their own.
    run.says("A|", "connected to C: path A ab--ba B bc--cb C")
    assert len(lines(run, "C|", "ncclCommSplit", "rank 0 nranks 2", "Init COMPLETE")) == 4, run.text()


@pytest.mark.parametrize("topology,colors,env", [
    ("chain:3", "0,-1,0", {}), ("ring:4", "0,0,1,1", {}), ("chain:3", "0,1,0", LAZY),
    ("ring:4", "0,1,0,1", {"NCCL_PROTO": "LL"})])
def test_other_splits(lab, whole, topology, colors, env):
    if not whole:
        pytest.skip("only with --whole")
    check_program(job(lab, topology, f"split --colors {colors} -n 6 -e 4M", env=env, seconds=400), "split")


@pytest.mark.parametrize("at_once,in_turn", [(4, 1), (1, 3)])
def test_communicators_at_once_and_one_after_another(lab, whole, at_once, in_turn):
    if whole:
        at_once, in_turn = 2 * at_once, 5 * in_turn
    run = job(lab, "chain:3", f"many --at-once {at_once} -n {5 if whole else 1} -e 64K --communicators {in_turn}",
              seconds=400 if whole else 120)
    assert len(lines(check_program(run, "many"), "# many: 0 wrong")) == in_turn, run.text()
    run.had_agents("ABC", 1)  # one agent serves all of them


# Several GPUs ------------------------------------------------------------------------------------------------------

INSIDE = {
    "p2p": {"NCCL_P2P_DISABLE": "0", "NCCL_SHM_DISABLE": "0", "FAKECUDA_P2P": "1", "NCCL_P2P_LEVEL": "SYS"},
    "shm": {"NCCL_P2P_DISABLE": "0", "NCCL_SHM_DISABLE": "0"},
    "net": {"NCCL_P2P_DISABLE": "1", "NCCL_SHM_DISABLE": "1"},
}
WAY = {"p2p": "via P2P/", "shm": "via SHM/"}


def check_inside(run, inside):
    """NCCL joined the ranks of a node in this way, and none in another."""
    for way, words in WAY.items():
        assert bool(lines(run, words)) == (way == inside), run.text()
    # The plugin's own path from a node to itself.
    assert bool(lines(run, "connected to A: path A, tcp")) == (inside == "net"), run.text()
    run.says("A", "connected to B: path A ab--ba B")


@pytest.mark.parametrize("inside", INSIDE)
def test_two_gpus_in_each_of_two_processes(lab, inside):
    run = job(lab, "chain:2", "gpus -e 256K", env={"FAKECUDA_DEVICES": "2", **INSIDE[inside]})
    check_inside(check_program(run, "gpus"), inside)


def test_a_job_of_one_process_with_two_gpus(lab):
    """ncclCommInitAll, and a split; from a node to itself there is the plugin only."""
    run = lab.run("chain:2", lab.rank, "two_gpus", env={"FAKECUDA_DEVICES": "2", **INSIDE["net"]},
                  options=["--ranks", "A", "--timeout", "60"])
    check(run, "two_gpus: right").says("connected to A: path A, tcp")


@pytest.mark.parametrize("inside", INSIDE)
def test_two_ranks_on_each_node(lab, inside):
    run = job(lab, "chain:2", "many --at-once 1 -n 1 -e 256K", env={"FAKECUDA_DEVICES": "2", **INSIDE[inside]},
              options=["--ranks-per-node", "2"])
    check_inside(check_program(run, "many"), inside)


def test_four_gpus_in_each_of_three_processes_over_a_relay(lab, whole):
    if not whole:
        pytest.skip("only with --whole")
    run = job(lab, "chain:3", "gpus -e 1M", env={"FAKECUDA_DEVICES": "4", **INSIDE["shm"]})
    check_program(run, "gpus").says("A|", "connected to C: path A ab--ba B bc--cb C")


# Peers -------------------------------------------------------------------------------------------------------------

def test_grouped_sends_and_receives_with_every_peer(lab, whole):
    """Several messages per pair in one group, of every size; the diagonals of the ring are relayed."""
    run = job(lab, "ring:4", f"exchange -n {40 if whole else 4}", seconds=400 if whole else 120)
    check_program(run, "exchange").says("A|", "connected to C: path A")


@pytest.mark.parametrize("command", ["exchange -n 4", "many --at-once 1 -n 1"])
def test_wrong_data_is_noticed(lab, command):
    """The emulated kernels corrupt a bit now and then."""
    run = lab.nccl("chain:2", command, env={"FAKECUDA_FLIP_BIT": "3"}, options=["--timeout", "60"]).failed()
    assert re.search(r"# \w+: [1-9]\d* wrong elements over all ranks", run.output), run.text()


@pytest.mark.parametrize("command", ["gather -r 2", "scatter -r 1", "nccl_alltoall"])
def test_calls_that_consist_of_sends_and_receives(lab, command):
    check(job(lab, "ring:4", f"{command} {SIZES}"), RIGHT)


# Memory ------------------------------------------------------------------------------------------------------------

GDR = {"FAKECUDA_GDR": "1", "FAKECUDA_DMABUF": "1", "NCCL_NET_GDR_LEVEL": "SYS", "NCCL_NET_GDR_READ": "1"}


@pytest.mark.parametrize("memory", [{}, {"NCCL_CUMEM_ENABLE": "1"}], ids=["malloc", "cumem"])
def test_gpus_that_offer_direct_access_keep_their_memory_from_the_plugin(lab, memory):
    """It offers host memory only. In guard mode whoever else touches the GPU's memory dies."""
    env = {**GDR, **memory, "NCCL_LOCAL_REGISTER": "1", "NCCL_DEBUG_SUBSYS": "INIT,NET,ENV,REG"}
    run = check_program(job(lab, "chain:3", "many --at-once 1 -n 2 -R 1", env=env), "many")
    run.says("NET/Relay : GPU Direct RDMA Disabled")
    assert "GDRDMA" not in run.output, run.text()
    for node in "ABC":
        assert len(lines(run, f"{node}|", "register comm", "buffer")) >= 2 * 7, run.text()


def test_gpu_memory_is_refused_in_a_sentence(lab, build):
    run = lab.run("chain:2", "python3", str(HERE / "gpu_pointers.py"), str(build / "libnccl-net-relay.so"),
                  options=["--ranks", "A", "--timeout", "60"]).ok()
    assert len(lines(run, "regMr: GPU memory cannot be registered: the hops of this connection are TCP")) == 6, run.text()
    assert len(lines(run, "regMrDmaBuf: GPU memory cannot be registered", "set NCCL_RELAY_GDR=off")) == 2, run.text()
    run.says("refused, and went on")


# How connections are made ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("control", ["lan", "routes"])
def test_the_bootstrap_ring_may_go_over_the_plugin(lab, control):
    run = job(lab, "chain:3", f"all_reduce {SIZES}", options=["--control", control], env={
        "NCCL_OOB_NET_ENABLE": "1", "NCCL_DEBUG_SUBSYS": "INIT,NET,ENV,BOOTSTRAP"})
    check(run, RIGHT)
    for node, after, path in ("A", "B", "A ab--ba B"), ("B", "C", "B bc--cb C"), ("C", "A", "C cb--bc B ba--ab A"):
        run.says(f"{node}|", "Bootstrap: Using relay0:0")
        # The ring is closed before NCCL looks at the topology, by the thread that initializes.
        own = [line for line in run.output.splitlines() if line.startswith(f"{node}|")]
        bootstrap = "\n".join(own[:next(i for i, line in enumerate(own) if "Bootstrap timings" in line)])
        assert f"connected to {after}: path {path}" in bootstrap, run.text()
        assert bootstrap.count("connected to") == bootstrap.count("accepted from") == 1, run.text()


@pytest.mark.parametrize("connect", ["lazy", "eager"])
def test_connections_are_made_early_or_late(lab, connect):
    run = job(lab, "chain:3", f"all_reduce {SIZES}", env=LAZY if connect == "lazy" else EAGER)
    check(run, RIGHT)
    for node in "ABC":
        own = "\n".join(lines(run, f"{node}|"))
        before, after = own.split("Init COMPLETE")
        assert ("connected to" in before) == (connect == "eager"), run.text()
        assert ("connected to" in after) == (connect == "lazy"), run.text()


@pytest.mark.parametrize("command,topology", [("many --at-once 3 -n 1 -e 64K", "chain:3"),
                                              ("exchange -n 2 -e 64K", "ring:4")])
def test_communicators_that_do_not_block(lab, command, topology):
    check_program(job(lab, topology, f"{command} --nonblocking", env=LAZY), command.split()[0])


# Aborts ------------------------------------------------------------------------------------------------------------

def check_told(run, at_most):
    told = re.search(r"# abort: rank \d left after (\d+) operations, the others were told within ([\d.]+) s, "
                     r"aborting took up to ([\d.]+) s", run.output)
    assert told and int(told[1]) > 0, run.text()
    assert float(told[2]) < at_most and float(told[3]) < at_most, run.text()


@pytest.mark.parametrize("rank,env", [(0, {}), (1, {"NCCL_PROTO": "LL"}), (2, LAZY)], ids=["simple", "ll", "lazy"])
def test_one_rank_aborts_under_traffic_and_all_begin_anew(lab, rank, env):
    """Requests are in flight, and their buffers are freed. The others are told long before any timeout of theirs."""
    run = job(lab, "chain:3", f"abort -r {rank} --hold 0.3", env=env)
    check_told(check_program(run, "abort"), 5)
    for node in set("ABC") - {"ABC"[rank]}:
        assert lines(run, f"{node}|", "NCCL WARN NET/Relay", "the peer closed it"), run.text()


def test_those_that_are_left_shrink_the_communicator_and_go_on(lab):
    """A and C wait for B in a collective. Afterwards B is only their relay; then all make a new communicator."""
    run = check_program(job(lab, "chain:3", "shrink -r 1"), "shrink")
    assert len(lines(run, "ncclCommShrink", "nranks 2", "Init COMPLETE")) == 2, run.text()


@pytest.mark.parametrize("env,where", [({}, "while its kernel waits"), (LAZY, "while it waits for connections")],
                         ids=["eager", "lazy"])
def test_ranks_that_wait_for_another_can_abort_and_begin_anew(lab, env, where):
    run = check_program(job(lab, "chain:3", "absent -r 1", env=env), "absent")
    assert len(lines(run, f"aborts {where}")) == 2, run.text()


def test_a_rank_aborts_at_any_moment_of_the_start_and_all_begin_anew(lab, whole):
    moments = [i * 0.02 for i in range(40)] if whole else [0.05, 0.3]
    for moment in moments:
        env = {"NCCL_OOB_NET_ENABLE": "1"} if int(moment * 100) % 4 else {}
        run = job(lab, "chain:3", f"abort_in_init -r {int(moment * 50) % 3} --hold {moment:.2f} -e 64K", env=env)
        check_program(run, "abort_in_init")


def test_aborts_again_and_again_in_one_process(lab, whole):
    if not whole:
        pytest.skip("only with --whole")
    run = job(lab, "ring:4", "abort -r 2 --hold 0.1 --communicators 15 -e 256K", seconds=400)
    check_program(run, "abort")


# A rank that waits for none but C when B dies, through which C is reached, waits for another way to C.
NO_PATIENCE = {"NCCL_RELAY_RECOVER_TIMEOUT": "4"}


def test_a_rank_whose_peer_was_killed_does_not_die_of_a_broken_pipe(lab):
    """SIGPIPE has its default action in these processes, which is to end them: nobody has changed that."""
    ignored = "$(sed -n 's/^SigIgn:[[:space:]]*/0x/p;' /proc/$!/status)"
    caught = "$(sed -n 's/^SigCgt:[[:space:]]*/0x/p;' /proc/$!/status)"
    script = (f"{lab.rank} fault -b 1M --timeout 20 & sleep 1.5; "
              f"echo pipe signal ignored $((({ignored} >> 12) & 1)) caught $((({caught} >> 12) & 1)); "
              "wait $!; echo ended with status $?")
    run, _ = midway(lambda at: lab.run("chain:3", "sh", "-c", script, options=[
        "--kill", f"B@{at}s", "--timeout", "40", "--grace", "20"], env=NO_PATIENCE), "AC")
    for node in "AC":
        run.says(f"{node}|", "pipe signal ignored 0 caught 0")
        run.says(f"{node}|", "ended with status 0")
