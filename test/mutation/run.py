#!/usr/bin/env python3
"""Breaks the product on purpose and asks whether the tests notice.

Each mutant (mutants.py) is one replacement in a copy of the tree, and names the tests that should catch it: only their
programs are built, and each runs until its first failure. A mutant that they let live has the rest of these programs
against it; one that lives on is a hole in the tests, and so is one whose place is gone.

usage: run.py [--only PATTERN] [--check] [--table FILE]
"""
import argparse
import fnmatch
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

from mutants import MUTANTS

ROOT = pathlib.Path(__file__).resolve().parents[2]
TREE, BUILD = ROOT / "build/mutation/tree", ROOT / "build/mutation/build"
PROGRAM_SECONDS, BUILD_SECONDS = 300, 7200  # a build may share its machine with others
E2E_TARGETS = ["nccl-net-relay", "nccl-relay"]


@dataclass
class Verdict:
    mutant: object
    caught: list = field(default_factory=list)
    error: str = ""
    seconds: float = 0
    unnamed: bool = False  # caught, but not by the tests that it names

    def word(self):
        if self.error:
            return "BROKEN"
        if self.caught:
            return "EXPLAINED BUT CAUGHT" if self.mutant.explained else "caught"
        return "lives, explained" if self.mutant.explained else "LIVES"

    def good(self):
        return not self.error and bool(self.caught) != bool(self.mutant.explained)

    def by(self):
        names = ", ".join(self.caught) + (" (not named)" if self.unnamed else "")
        return self.error or names or self.mutant.explained or "no test failed"


def run(command, cwd=TREE, seconds=BUILD_SECONDS):
    """Status (None: too late) and output; whatever it has started ends with it."""
    process = subprocess.Popen([str(c) for c in command], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               stdin=subprocess.DEVNULL, text=True, errors="replace", start_new_session=True)
    try:
        output, _ = process.communicate(timeout=seconds)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return None, output
    except BaseException:  # whoever ends this program means what it has started, too
        os.killpg(process.pid, signal.SIGKILL)
        raise


def wanted(tests):
    """[(program, filter)], [(file, keyword)] of the end-to-end tests."""
    pairs = [test.split(":", 1) for test in tests.split()]
    return [p for p in pairs if not p[0].startswith("e2e/")], [p for p in pairs if p[0].startswith("e2e/")]


def build(targets):
    status, output = run(["cmake", "--build", BUILD, "-j", os.cpu_count(), "--target", *sorted(set(targets))])
    return "" if status == 0 else "does not compile: " + "\n".join(output.splitlines()[-30:])


def failures(program, tests):
    """The first test that failed, died or never ended; none."""
    status, output = run([BUILD / "test" / program, "--gtest_filter=" + tests, "--gtest_fail_fast", "--gtest_color=no"],
                         seconds=PROGRAM_SECONDS)
    if status == 0:
        return []
    failed = re.findall(r"^\[  FAILED  \] ([\w/]+\.[\w/]+)", output, re.M)
    if failed:
        return failed[:1]
    running = (re.findall(r"^\[ RUN      \] (\S+)", output, re.M) or [program])[-1]
    return [f"{running} ({'never ends' if status is None else f'signal {-status}' if status < 0 else f'exit {status}'})"]


def failures_e2e(file, keyword):
    status, output = run(["/usr/bin/python3", "-m", "pytest", f"test/{file}", "-q", "-x", "-k", keyword,
                          f"--build={BUILD}"], seconds=1800)
    if status == 5:
        return [f"no test of {file} is meant by {keyword}"]
    failed = re.findall(r"^(?:FAILED|ERROR) \S+::(\S+)", output, re.M)
    return failed if failed or status == 0 else [f"{file} ends with {status}"]


def first_failure(programs, e2e):
    for program, tests in programs:
        if failed := failures(program, tests):
            return failed
    for file, keyword in e2e:
        if failed := failures_e2e(file, keyword):
            return failed
    return []


def try_mutant(mutant):
    verdict, start = Verdict(mutant), time.monotonic()
    path = TREE / mutant.file
    text = path.read_text()
    path.write_text(text.replace(mutant.old, mutant.new))
    try:
        programs, e2e = wanted(mutant.tests)
        verdict.error = build([p for p, _ in programs] + (E2E_TARGETS if e2e else []))
        if not verdict.error:
            verdict.caught = first_failure(programs, e2e)
        if not verdict.error and not verdict.caught:
            verdict.caught = first_failure([(p, "-" + tests) for p, tests in programs if tests != "*"], [])
            verdict.unnamed = bool(verdict.caught)
    finally:
        path.write_text(text)
    verdict.seconds = time.monotonic() - start
    return verdict


def misplaced(mutants):
    """Mutants whose text is not there, or more than once; and names that come twice."""
    out = []
    for mutant in mutants:
        path = ROOT / mutant.file
        count = path.read_text().count(mutant.old) if path.exists() else 0
        if count != 1:
            out.append(f"{mutant.name}: its text stands {count} times in {mutant.file}: mend the mutant")
    names = [mutant.name for mutant in MUTANTS]
    return out + [f"{name}: two mutants have this name" for name in sorted({n for n in names if names.count(n) > 1})]


def copy_tree():
    """What git knows or would add, changed files only: what was built for an earlier run serves this one."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True,
                            stdout=subprocess.PIPE, text=True).stdout.splitlines()
    here = {name for name in listed if (ROOT / name).is_file()}
    for name in here:
        source, target = ROOT / name, TREE / name
        if target.exists() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    for target in TREE.rglob("*"):
        if target.is_file() and str(target.relative_to(TREE)) not in here:
            target.unlink()


def prepare(mutants):
    """Builds all that is named, and runs it unbroken. What fails then."""
    copy_tree()
    status, output = run(["cmake", "-S", TREE, "-B", BUILD, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=None",
                          "-DCMAKE_CXX_FLAGS=-O0 -w", "-DCMAKE_UNITY_BUILD=ON"])
    if status != 0:
        return [output]
    programs, e2e = [], []
    for mutant in mutants:
        more, more_e2e = wanted(mutant.tests)
        programs += [tuple(p) for p in more]
        e2e += [tuple(p) for p in more_e2e]
    if error := build([p for p, _ in programs] + (E2E_TARGETS if e2e else [])):
        return [error]
    broken = []
    for program in sorted({p for p, _ in programs}):
        tests = sorted({t for p, t in programs if p == program})
        whole = "*" if "*" in tests else ":".join(tests)
        if failures(program, whole):  # tests that wait for clocks have a second chance on a busy machine
            broken += failures(program, whole)
        status, output = run([BUILD / "test" / program, "--gtest_list_tests"])
        suites, names = "", []
        for line in output.splitlines():
            if not line.startswith(" "):
                suites = line.split("#")[0].strip()
            else:
                names.append(suites + line.split("#")[0].strip())
        broken += [f"no test of {program} is meant by {pattern}" for pattern in ":".join(tests).split(":")
                   if not any(fnmatch.fnmatchcase(name, pattern) for name in names)]
    for file, keyword in sorted(set(e2e)):
        broken += failures_e2e(file, keyword)
    return broken


def table(verdicts, seconds):
    lines = ["| mutant | file | verdict | by |", "|---|---|---|---|"]
    for v in verdicts:
        lines.append(f"| {v.mutant.name} | `{v.mutant.file}` | {v.word()} | {v.by().splitlines()[0]} |")
    lines += ["", f"{len(verdicts)} mutants in {seconds / 60:.1f} minutes, "
              f"{sum(not v.good() for v in verdicts)} to look at."]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="a regular expression for names or files of mutants")
    parser.add_argument("--check", action="store_true", help="only whether each mutant's place is there")
    parser.add_argument("--table", help="a file for the table of mutants and what caught each")
    args = parser.parse_args()
    mutants = [m for m in MUTANTS if re.search(args.only, m.name) or re.search(args.only, m.file)]
    if bad := misplaced(mutants):
        print("\n".join(bad))
        return 1
    if args.check:
        print(f"{len(mutants)} mutants have their place")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    start = time.monotonic()
    if broken := prepare(mutants):
        print("without any mutant:", *broken, sep="\n  ")
        return 1
    print(f"{len(mutants)} mutants; built and unbroken after {time.monotonic() - start:.0f} s", flush=True)
    verdicts = []
    for mutant in sorted(mutants, key=lambda m: m.file):
        verdicts.append(try_mutant(mutant))
        v = verdicts[-1]
        print(f"{v.word():8} {v.seconds:5.0f} s  {mutant.name}\n                  {v.by()}", flush=True)
    report = table(verdicts, time.monotonic() - start)
    if args.table:
        pathlib.Path(args.table).write_text(report)
    print(report.splitlines()[-1])
    return 0 if all(v.good() for v in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
