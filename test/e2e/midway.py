"""Faults that find every rank at work, however busy the machine is."""
import re


def midway(run_with_fault_at, nodes, times=(2, 5, 12)):
    """A run of nccl_perf's `fault`, and when its fault came: later, if it came before these nodes' ranks were at work."""
    for at in times:
        run = run_with_fault_at(at)
        assert run.status != 124 and not re.search("^lab: .* failed: ", run.output, re.M), run.text()
        if all(re.search(rf"^{node}\| rank \d: fault: [1-9]\d* operations, then error", run.output, re.M) for node in nodes):
            return run, at
        came = run.output.find("lab: ")
        early = any(not 0 <= run.output.find(f"{node}| rank") < came or
                    re.search(rf"^{node}\| rank \d: fault: 0 operations, then error", run.output, re.M) for node in nodes)
        assert early, f"a rank at work was not told\n{run.text()}"
    raise AssertionError(f"{at} s were not enough to set up\n{run.text()}")
