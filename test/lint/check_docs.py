#!/usr/bin/env python3
"""Fails when docs/architecture.md names a file or a function of one isend() that is not there."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
bad = []
rows = re.findall(r"^\| \d+ \| \w+ \| `([^`]+)` \| `([^`]+)` \|", (root / "docs/architecture.md").read_text(), re.M)
for path, function in rows:
    source = root / path
    if not source.exists():
        bad.append(f"docs/architecture.md: there is no {path}")
    elif not re.search(rf"\b{re.escape(function)}\s*\(|\b{re.escape(function.split('::')[-1])}\s*\(", source.read_text()):
        bad.append(f"docs/architecture.md: {path} has no {function}")
if len(rows) < 10:
    bad.append("docs/architecture.md: the table of one isend() is gone")
print("\n".join(bad) or f"docs hold: {len(rows)} steps of one isend()")
sys.exit(bool(bad))
