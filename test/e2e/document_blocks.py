"""The fenced blocks of the documents, and the mark above each that says how it is run.

A mark is a comment in the line above the fence: `<!-- run -->`, or `<!-- run: HOW, HOW -->` where HOW is one of

    on B of chain:3                       in that node of a discovered fabric, between whose ends bytes go
    on each node of chain:3               as one of its ranks; RANK=0 is counted up
    as settings of chain:3                its variables are those of a job of the real NCCL on a discovered fabric
    in a terminal in which q is typed
    ends with N                           its status; else it is 0
    not here, REASON

Without a place a block is run in a folder that looks like a clone in which `make` has been typed. Blocks of json are read,
and those of text are only shown: both go without a mark.
"""
import functools
import re
import subprocess
from dataclasses import dataclass

UNMARKED = ("json", "text")
MARK = re.compile(r"<!-- run(?:: (.*))? -->")
HOW = [re.compile(form) for form in (r"on (?P<node>\w+) of (?P<busy>\S+)", r"on each node of (?P<each>\S+)",
                                     r"as settings of (?P<job>\S+)", r"(?P<terminal>in a terminal in which q is typed)",
                                     r"ends with (?P<status>\d+)")]


@dataclass
class Block:
    path: str
    line: int  # of its fence
    language: str
    lines: list
    mark: str = None  # what stands after "run: "; "" for a plain one, None without a mark

    @property
    def where(self):
        return f"{self.path}:{self.line}"

    @property
    def reason(self):
        """Why it does not run here."""
        return self.mark.removeprefix("not here, ") if (self.mark or "").startswith("not here, ") else None

    @functools.cached_property
    def how(self):
        """What the mark says, by its names; None where it says something else."""
        said = {}
        for part in filter(None, self.mark.split(", ")):
            match = next(filter(None, (form.fullmatch(part) for form in HOW)), None)
            if not match:
                return None
            said |= match.groupdict()
        return said

    @property
    def text(self):
        return "".join(line + "\n" for line in self.lines)

    def script(self):
        """What is typed; in a console's text it stands after the prompt."""
        if self.language != "console":
            return self.text
        return "".join(line.removeprefix("$ ") + "\n" for line in self.lines if line.startswith("$ "))

    def shown(self):
        """What a console's text shows as the answer."""
        return [line for line in self.lines if not line.startswith("$ ")] if self.language == "console" else []

    def complaint(self):
        if not self.language:
            return "says no language: sh, console, json, text, ..."
        if self.mark is None:
            return None if self.language in UNMARKED else 'has no mark "<!-- run... -->" in the line above'
        if self.reason is None and self.how is None:
            return f'has a mark that means nothing: "{self.mark}"'
        if self.reason is None and self.language not in ("sh", "console"):
            return f"is {self.language}, which no shell runs: say why in its mark (not here, ...)"
        return None


def blocks_of(path, text):
    found, block, above = [], None, ""
    for number, line in enumerate(text.splitlines(), 1):
        fence = re.match(r"( *)```(\w*)", line)
        if fence and block is None:
            mark = MARK.fullmatch(above.strip())
            indent = len(fence[1])
            block = Block(path, number, fence[2], [], (mark[1] or "") if mark else None)
        elif fence:
            found.append(block)
            block = None
        elif block is not None:
            block.lines.append(line[min(indent, len(line) - len(line.lstrip())):])
        above = line
    return found


def all_blocks(root):
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=root, capture_output=True, text=True, check=True).stdout
    return [block for path in listed.split() for block in blocks_of(path, (root / path).read_text())]
