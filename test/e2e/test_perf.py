"""The plugin driven as NCCL's proxy drives it, over a chain whose closing edge is relayed: every table, every pattern."""
import pytest

from perf_lab import PerfLab

COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "broadcast", "reduce", "alltoall", "sendrecv")
ABIS = [f"v{n}" for n in range(6, 13)]
SIZES = "-b 8 -e 4M -f 8 -n 2 --timeout 20"
MIB = 1 << 20


@pytest.fixture
def lab(build):
    return PerfLab(build)


def check_rows(table, largest=0):
    assert table["rows"] and table["out_of_bounds"] == 0
    for row in table["rows"]:
        assert row["wrong"] == 0
        assert row["size"] == 0 or (row["time_us"] > 0 and row["algbw"] > 0 and row["busbw"] > 0)
    assert table["rows"][-1]["size"] >= largest


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_every_collective_is_right(lab, collective):
    table = lab.perf(f"{collective} {SIZES}").right()
    assert (table["collective"], table["ranks"], table["abi"]) == (collective, 3, "v12")
    assert table["plugin"] == str(lab.build / "libnccl-net-relay.so")
    check_rows(table, largest=2 * MIB - 12)


def test_a_master_whose_name_is_its_own_loopback_is_met_all_the_same(lab, tmp_path):
    """As /etc/hosts of many distributions has it: 127.0.1.1 is this host's name, and on no other host."""
    script = (f"[ $RANK = 0 ] && address=127.0.1.1 || address=$MASTER_ADDR; echo $address spark > {tmp_path}/hosts.$RANK; "
              f"exec unshare --mount sh -c 'mount --bind {tmp_path}/hosts.$RANK /etc/hosts && "
              f"MASTER_ADDR=spark exec {lab.command} all_reduce -b 8 -e 8 -n 1 -w 0 --timeout 20'")
    run = lab.run("chain:2", "sh", "-c", script, options=["--timeout", "60"]).ok()
    run.says("MASTER_ADDR=spark is an address of the loopback on this node: rank 0 listens on all addresses")


@pytest.mark.parametrize("abi", ABIS)
def test_every_table_of_the_plugin_works(lab, abi):
    table = lab.perf(f"all_reduce --abi {abi} {SIZES}").right()
    assert table["abi"] == abi
    check_rows(table)


def test_ranks_of_different_versions_understand_each_other(lab):
    check_rows(lab.perf(f"all_reduce --abi v$((6 + RANK * 3)) {SIZES}").right())


@pytest.mark.parametrize("arguments", ["all_reduce --algo tree", "all_gather --algo pat", "reduce_scatter --algo pat"])
@pytest.mark.parametrize("topology", ["chain:3", "ring:4"])
def test_trees(lab, arguments, topology):
    check_rows(lab.perf(f"{arguments} {SIZES}", topology).right())


@pytest.mark.parametrize("abi,protocol", [("v8", "ll"), ("v12", "ll"), ("v12", "ll128"), ("v12", "simple")])
def test_a_kernel_that_polls_flags_never_sees_a_flag_before_its_data(lab, abi, protocol):
    check_rows(lab.perf(f"all_reduce --abi {abi} --proto {protocol} {SIZES} -c 3").right())


def test_many_channels_roots_and_flushes(lab):
    check_rows(lab.perf(f"broadcast -r 2 --channels 8 --flush {SIZES}").right())


def test_two_ranks_on_each_node(lab):
    check_rows(lab.perf(f"alltoall {SIZES}", options=["--ranks-per-node", "2", "--timeout", "60"]).right())


@pytest.mark.parametrize("protocol", ["ll", "simple"])
def test_payload_with_checksums_arrives_as_it_is(lab, protocol):
    perf = lab.perf(f"all_reduce --proto {protocol} {SIZES}", env={"NCCL_RELAY_CHECKSUM": "1", "NCCL_DEBUG": "INFO"})
    check_rows(perf.right())
    assert perf.run.says("NCCL_RELAY_CHECKSUM=1", "over TCP")


def test_the_closing_edge_is_relayed(lab):
    perf = lab.perf("sendrecv -b 8M -e 8M -n 2 -w 0 -c 1")
    check_rows(perf.right())
    for node, interface in [("A", "ab"), ("B", "bc"), ("C", "cb"), ("B", "ba")]:
        assert perf.run.counters[node][interface]["tx_bytes"] > 24 * MIB, (node, interface, perf.run.counters)
        assert perf.run.counters[node]["ctl"]["tx_bytes"] < MIB, "data went over the LAN"


def test_one_rank_alone(lab):
    check_rows(lab.perf(f"sendrecv {SIZES}", options=["--ranks", "B", "--timeout", "60"]).right())


def test_pingpong_tells_the_latency(lab):
    table = lab.perf("pingpong -b 8 -e 128K -f 128 -n 50 --timeout 20").right()
    check_rows(table)
    for row in table["rows"]:
        assert 0 < row["min_us"] <= row["time_us"] <= row["p99_us"]


@pytest.mark.parametrize("abi", ["v6", "v11", "v12"])
def test_communicators_end_with_requests_in_flight(lab, abi):
    table = lab.perf(f"teardown --abi {abi} -e 8M -n 6 --timeout 20").right()
    assert table["rounds"] == 6 and table["in_flight"] > 0 and table["wrong"] == 0


@pytest.mark.parametrize("fresh", ["", "--fresh"])
def test_for_a_while_every_repetition_is_verified(lab, fresh):
    table = lab.perf(f"alltoall -b 4K -e 64K -f 4 --seconds 1 --gap {fresh}").right()
    assert table["seconds"] == 1 and table["repetitions"] > 2 and table["wrong"] == 0
    assert 0 < table["longest_gap_s"] < 60 and table["gap_rank"] in (0, 1, 2)


def test_a_late_receiver_and_rests_are_waited_for(lab):
    perf = lab.perf("sendrecv -b 64K -e 64K --seconds 1 --gap --phases --hold 0.2 --hold-close 0.2 "
                    "$([ $RANK != 1 ] || echo --late 2)")
    table = perf.right()
    assert table["wrong"] == 0 and table["longest_gap_s"] > 1.5
    for rank, node in enumerate("ABC"):
        said = [phase for phase in ("init", "connect", "connected", "traffic", "close", "closed")
                if f"{node}| nccl-relay perf: rank {rank}: {phase}\n" in perf.run.output]
        assert len(said) == 6, perf.run.text()


# What must be noticed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize("protocol", ["simple", "ll"])
def test_one_flipped_bit_on_one_rank_is_noticed(lab, collective, protocol):
    """Rank 2 receives in each of them, and what it receives counts."""
    corrupt = "$([ $RANK != 2 ] || echo --corrupt 1)"
    perf = lab.perf(f"{collective} -b 64K -e 64K -n 1 --proto {protocol} {corrupt}")
    perf.run.failed()
    assert perf.run.status == 1 and perf.table()["out_of_bounds"] == 1 and perf.table()["rows"][0]["wrong"] > 0


def test_a_flipped_bit_is_noticed_in_any_repetition(lab):
    perf = lab.perf("all_reduce -b 64K -e 64K --seconds 1 $([ $RANK != 2 ] || echo --corrupt 30)")
    perf.run.failed()
    assert perf.run.status == 1 and perf.table()["wrong"] > 0


def test_a_rank_that_dies_ends_the_others_with_a_sentence(lab):
    perf = lab.perf("all_reduce -b 4M -e 4M -n 1000000", options=["--kill", "C@2s", "--grace", "20", "--timeout", "40"])
    perf.run.failed()
    assert perf.run.seconds < 20, perf.run.text()
    for node in "AB":
        perf.run.says(f"{node}| nccl-relay perf: rank")
    assert "still running" not in perf.run.output, perf.run.text()


def test_a_rank_that_never_comes(lab):
    run = lab.run("chain:3", "sh", "-c", f"[ $RANK = 2 ] || exec {lab.command} all_reduce --timeout 2",
                  options=["--timeout", "30"]).failed()
    run.says("nccl-relay perf: rank 0: 1 of 3 ranks have not come within 2000 ms")
    run.says("nccl-relay perf: rank 1: ")


def test_ranks_that_were_told_differently(lab):
    run = lab.perf("all_reduce -n $((RANK + 1))").run.failed()
    run.says("was told otherwise: all_reduce")


@pytest.mark.parametrize("arguments,sentence", [
    ("all_reduce --abi v5", "--abi 5: want a whole number from 6 to 12"),
    ("all_reduce --algo pat", "all_reduce has no such --algo"),
    ("all_reduce --abi v8 --proto ll128", "--proto ll128"),
    ("all_ruduce", "there is no pattern all_ruduce"),
    ("all_reduce --frobnicate", "there is no option --frobnicate"),
    ("broadcast -r 3", "-r and --peer name a rank, and there are 3"),
])
def test_wrong_arguments(lab, arguments, sentence):
    run = lab.perf(arguments).run
    assert run.status == 2, run.text()
    run.says("nccl-relay perf: ", sentence)


@pytest.mark.parametrize("name,sentence", [("/nowhere/libx.so", "cannot be loaded"), ("none", "there is no plugin"),
                                           ("libc.so.6", "has no ncclNetPlugin_v6 to v12")])
def test_without_a_plugin(lab, name, sentence):
    run = lab.perf("all_reduce", env={"NCCL_NET_PLUGIN": name}).run
    assert run.status == 2, run.text()
    run.says(sentence)


def test_the_plugin_is_found_by_the_name_that_nccl_takes(lab):
    run = lab.perf("all_reduce -b 8 -e 8", env={"NCCL_NET_PLUGIN": "relay", "LD_LIBRARY_PATH": str(lab.build)})
    assert run.right()["plugin"] == str(lab.build / "libnccl-net-relay.so")


def test_the_table_looks_like_that_of_nccl_tests(lab):
    run = lab.run("chain:3", *lab.command.split(), "all_reduce", "-b", "8", "-e", "8").ok()
    for words in [("size", "count", "type", "redop", "root", "time", "algbw", "busbw", "#wrong"), ("(B)", "(elements)"),
                  ("# Out of bounds values : 0 OK",), ("# Avg bus bandwidth",)]:
        run.says("A| ", *words)
