"""The driver itself: a test that passes has run, and one that fails says why."""
import os
import signal
import threading
import time

import pytest

from machine import GuestHang, GuestPanic

pytestmark = pytest.mark.long


def test_scripts_run_at_once_and_what_they_write_comes_back(lab):
    meet = ": >$OUT/$HOST; for host in $HOSTS; do until [ -e $OUT/$host ]; do sleep 0.05; done; done; echo $HOST has met all"
    run = lab.run("chain:3", f"*: {meet}", f"B: {meet}; echo written >$OUT/file; hostname").ok()
    assert [run.says(host, "has met all")[0] for host in "ABC"] == ["A", "B", "C"]
    assert (run.out / "file").read_text() == "written\n"
    assert run.outputs["B"].splitlines()[-1] == "B"


def test_a_rank_has_the_environment_that_the_lab_gives(lab):
    run = lab.run("chain:3", "B: echo $RANK of $WORLD_SIZE at $MASTER_ADDR", "C: echo $RANK $NCCL_HOSTID $SPICE",
                  env={"SPICE": "salt and pepper"}).ok()
    assert run.outputs == {"B": "0 of 2 at 10.88.0.2\n", "C": "1 C salt and pepper\n"}


def test_a_script_that_fails_ends_the_others(lab):
    run = lab.run("chain:3", "A: exit 7", "B: kill -9 $$", "C: sleep 1000", grace=2)
    assert run.statuses == {"A": 7, "B": 137} and run.expired == ["C"], run.text()
    with pytest.raises(AssertionError):
        run.ok()
    run.failed("A", "B")
    with pytest.raises(AssertionError):
        run.failed("C")


def test_a_script_that_does_not_end_is_ended(lab):
    run = lab.run("chain:3", "A: true", "C: (setsid sleep 1000 &); sleep 1000", deadline=3)
    assert run.expired == ["C"] and run.statuses == {"A": 0}, run.text()
    assert "sleep 1000" in (run.out / "processes").read_text()
    assert lab.run("chain:3", "C: ps -e -o args= | grep -c '[s]leep 1000'").outputs == {"C": "0\n"}


def test_hosts_share_neither_processes_nor_sockets_nor_memory(lab):
    script = "echo mine >/dev/shm/$HOST; echo mine >/run/$HOST; : >$OUT/$HOST; until [ -e $OUT/A ] && [ -e $OUT/B ]; do sleep 0.05; done; "
    script += "ls /dev/shm /run; ps -e -o comm= | sort | uniq -c"
    run = lab.run("chain:3", f"A: {script}", f"B: {script}").ok()
    assert run.outputs["A"].count("A\n") == 2 and "B\n" not in run.outputs["A"], run.text()
    assert run.outputs["A"].replace("A\n", "B\n") == run.outputs["B"], run.text()


def test_a_fault_that_fails_or_does_not_come_is_told(lab):
    run = lab.run("chain:3", "A: until [ -e $OUT/kill-agent.B ]; do sleep 0.05; done", faults=["kill-agent B@0s", "cut A-B@never"])
    assert run.faults[0]["error"] == "no agent runs in B" and run.late == ["cut A-B@never"], run.text()
    with pytest.raises(AssertionError):
        run.ok()
    with pytest.raises(AssertionError, match="has no link between A and C"):
        lab.run("chain:3", "A: true", faults=["cut A-C@0s"])


def test_a_kernel_that_complains_fails_the_run(lab):
    run = lab.run("chain:3", "A: echo 'BUG: made by a test' >/dev/kmsg")
    assert run.complaints == ["BUG: made by a test"]
    with pytest.raises(AssertionError, match="made by a test"):
        run.ok()
    lab.run("chain:3", "A: true").ok()


@pytest.mark.deadly
def test_a_panic_is_told_and_the_next_run_has_a_new_machine(lab):
    with pytest.raises(GuestPanic, match="sysrq triggered crash"):
        lab.run("chain:2", "B: echo c >/proc/sysrq-trigger")
    lab.run("chain:2", "B: true").ok()


@pytest.mark.deadly
def test_a_machine_that_hangs_is_told(lab):
    lab.run("chain:2", "A: true").ok()
    machine = lab.machine

    def stop():
        deadline = time.monotonic() + 300
        while not list(machine.out.glob("*/stop")):
            if time.monotonic() > deadline:
                return  # the run ends by its own deadline, and the test with it
            time.sleep(0.05)
        os.kill(machine.process.pid, signal.SIGSTOP)

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(GuestHang, match="said nothing for 5 s"):
        lab.run("chain:2", "A: : >$OUT/stop; sleep 1000", silence=5)
    assert lab.machine is None and machine.process.poll() is not None
