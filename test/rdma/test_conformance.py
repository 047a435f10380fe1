"""The conformance suite of lanes over real verbs: B's two devices, each cabled to itself, direct and through one and two relays."""
import re

import pytest


@pytest.mark.long
def test_lanes_keep_their_promises(lab):
    suite = lab.build / "test/conformance"
    run = lab.run("chain:3", f"B: RELAY_LANE_DEVICES=rxe_ba,rxe_bc exec {suite} --gtest_filter='*Lane*Verbs*'").ok()
    passed = int(re.search(r"\[  PASSED  \] (\d+) tests", run.outputs["B"])[1])
    assert passed % 3 == 0 and passed > 0 and "SKIPPED" not in run.outputs["B"], run.text()
