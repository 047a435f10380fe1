#!/usr/bin/env python3
"""Which lines of plugin/ the unit, conformance and lab tests run; fails when a test does, or below 90 % of the lines.

usage: coverage.py build/coverage [--report]     --report: only read what earlier runs counted

The build counts in mapped files (RELAY_COVERAGE, continuous mode), one per program and library and shared by all
processes, so agents and ranks that a test kills count too.
"""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
FLOOR = 90.0


def run_tests(build, profile):
    """Everything that runs code of plugin/; those that need no such code stay out."""
    profile.mkdir(exist_ok=True)
    for old in profile.iterdir():
        old.unlink()
    commands = [
        ["ctest", "--test-dir", str(build), "--output-on-failure", "-j", str(os.cpu_count()), "-E", r"^nccl\."],
        ["/usr/bin/python3", "-m", "pytest", "test/e2e", "-q", f"--build={build}",
         "--ignore=test/e2e/test_sanitized.py"],
    ]
    environment = {**os.environ, "LLVM_PROFILE_FILE": str(profile / "%m%c.profraw")}
    return [command[0] for command in commands if subprocess.run(command, cwd=ROOT, env=environment).returncode]


def counted(build, profile):
    """{file: {line: times}} of plugin/."""
    merged = build / "coverage.profdata"
    subprocess.run(["llvm-profdata", "merge", "-sparse", "-o", merged, *profile.glob("*.profraw")], check=True)
    programs = [p for p in [*build.glob("*"), *(build / "test").glob("*")]
                if p.is_file() and not p.is_symlink() and os.access(p, os.X_OK) and p.read_bytes()[:4] == b"\x7fELF"]
    objects = [argument for program in programs[1:] for argument in ("-object", program)]
    text = subprocess.run(["llvm-cov", "export", "-format=lcov", "-instr-profile", merged, programs[0], *objects,
                           ROOT / "plugin"], check=True, stdout=subprocess.PIPE, text=True).stdout
    files = {}
    for line in text.splitlines():
        if line.startswith("SF:"):
            lines = files.setdefault(str(pathlib.Path(line[3:]).relative_to(ROOT)), {})
        elif match := re.match(r"DA:(\d+),(\d+)", line):
            number, times = map(int, match.groups())
            lines[number] = max(times, lines.get(number, 0))
    return files


def ranges(numbers):
    """[1, 2, 3, 7] -> "1-3 7"."""
    spans = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return " ".join(f"{a}-{b}" if a != b else f"{a}" for a, b in spans)


def report(files):
    total = run = 0
    for name, lines in sorted(files.items()):
        missed = [number for number, times in lines.items() if times == 0]
        total += len(lines)
        run += len(lines) - len(missed)
        share = 100 * (len(lines) - len(missed)) / len(lines)
        print(f"{share:6.1f} %  {name:44} {'not run: ' + ranges(missed) if missed else ''}")
    share = 100 * run / max(total, 1)
    print(f"{share:6.1f} %  plugin/: {run} of {total} lines")
    return share


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    build = pathlib.Path(sys.argv[1]).resolve()
    profile = build / "profile"
    failed = [] if "--report" in sys.argv else run_tests(build, profile)
    share = report(counted(build, profile))
    if failed:
        sys.exit(f"coverage: tests failed: {', '.join(failed)}")
    if share < FLOOR:
        sys.exit(f"coverage: {share:.1f} % is below {FLOOR:.0f} %")


if __name__ == "__main__":
    main()
