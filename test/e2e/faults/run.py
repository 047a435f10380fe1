#!/usr/bin/env python3
"""Plays the matrix, several cells side by side, and prints it.

    test/e2e/faults/run.py --build build/release [--whole] [--only 'ring:4 cut'] [--logs DIR] [--jobs N]
"""
import argparse
import concurrent.futures
import pathlib
import re
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import matrix  # noqa: E402
from cell import Cell  # noqa: E402
from pairwise import pairwise, product  # noqa: E402

FACTORS = {"workload": list(matrix.WORKLOADS), "fault": list(matrix.FAULTS), "topology": list(matrix.TOPOLOGIES)}


def choose(whole, only=""):
    rows = product(FACTORS) if whole else pairwise(FACTORS)
    return [cell for cell in (Cell(**row) for row in rows) if re.search(only, cell.name)]


def play(cells, build, folder, jobs, say=print):
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for done in concurrent.futures.as_completed([pool.submit(cell.play, build, folder) for cell in cells]):
            cell = done.result()
            if cell.verdict:
                say(f"{cell.name}: {cell.verdict} ({cell.log})")
    return cells


def table(cells):
    """What came of each cell that was played, and the seconds: the longest gap, or from the fault to the last error."""
    notes = {(c.workload, c.fault, c.topology): c.note for c in cells}
    lines = []
    for topology in matrix.TOPOLOGIES:
        lines.append(f"{topology:12}" + "".join(f"{w:>12}" for w in matrix.WORKLOADS))
        for fault in matrix.FAULTS:
            lines.append(f"  {fault:10}" + "".join(f"{notes.get((w, fault, topology), '.'):>12}" for w in matrix.WORKLOADS))
    failed = [c for c in cells if c.verdict]
    return "\n".join([*lines, f"{len(cells)} cells played, {len(failed)} not as expected"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=str(HERE.parents[2] / "build/release"), help="the build folder")
    parser.add_argument("--whole", action="store_true", help="every cell, not a pairwise choice")
    parser.add_argument("--only", default="", help="cells whose name, such as \"ring:4 cut init\", matches")
    parser.add_argument("--logs", help="keep every cell's output here")
    parser.add_argument("--jobs", type=int, default=3, help="cells side by side")
    args = parser.parse_args()
    folder = pathlib.Path(args.logs or tempfile.mkdtemp(prefix="faults-"))
    cells = play(choose(args.whole or bool(args.only), args.only), pathlib.Path(args.build).resolve(), folder, args.jobs)
    print(table(cells))
    sys.exit(any(c.verdict for c in cells))


if __name__ == "__main__":
    main()
