"""What a process that waits costs, from /proc."""
import re

_CPU = "$(cat /proc/$p/task/*/schedstat | awk '{t += $1} END {printf \"%d\", t}')"
_WAKINGS = "$(cat /proc/$p/task/*/status | awk '/^voluntary/ {n += $2} END {print n}')"
SECONDS, WINDOWS = 1.5, 6
# A shell runs it whose $p is the process.
IDLE = (f"w={_WAKINGS}; for i in $(seq {WINDOWS}); do a={_CPU}; sleep {SECONDS}; b={_CPU}; echo idle cpu $((b - a)); done; "
        f"echo idle wakings $(({_WAKINGS} - w))")


def idle_use(run, *ranks):
    """(share of a core, wakings a second) of each. The share is the second smallest of several windows: what a busy
    machine does meanwhile only adds."""
    for rank in ranks:
        cpu = sorted(int(n) for n in re.findall(rf"^{rank}\| idle cpu (\d+)", run.output, re.M))
        wakings = re.findall(rf"^{rank}\| idle wakings (\d+)", run.output, re.M)
        assert len(cpu) == WINDOWS and len(wakings) == 1, run.text()
        yield cpu[1] / (SECONDS * 1e9), int(wakings[0]) / (SECONDS * WINDOWS)
