#!/usr/bin/env python3
"""Fails when a comment opens with "Of", "For" or "To".

Such a comment is a fragment that leans on the line below it ("// Of one client: ..."), and whoever reads it has to find
out what has that property. A comment is a sentence with a subject and a verb: "// One client has no more than these."
Comments behind code on the same line are notes, and may be as short as they like.
"""
import pathlib
import re
import sys

FOLDERS = ("plugin", "include", "tools", "test", "docker")
MARKS = {".h": "//", ".cc": "//", ".c": "//", ".py": "#", ".sh": "#", ".in": "#", ".txt": "#"}


def fragments(path):
    """(line number, text) of each block of comment lines that opens with one of the words."""
    comment = re.compile(r"\s*" + re.escape(MARKS[path.suffix]) + r"( |$)(.*)")
    before = False
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        found = comment.match(line)
        if found and not before and re.match(r"(Of|For|To) ", found[2]):
            yield number, found[2]
        before = bool(found)


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    paths = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*")) if path.suffix in MARKS]
    bad = [f"{path.relative_to(root)}:{number}: a comment opens with a fragment: {text}"
           for path in paths for number, text in fragments(path)]
    print("\n".join(bad) or f"comments are sentences: {len(paths)} files, none opens with Of, For or To")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
