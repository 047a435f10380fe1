"""The table of one isend() in docs/architecture.md: each function is defined in the file that its step names."""
import re

PAGE = "docs/architecture.md"
ROW = re.compile(r"^\| (\d+) \| \w+ \| `([^`]+)` \| `([^`]+)` \|", re.M)
LEAST = 10


def defines(text, function):
    """A definition begins at the line's start, and a body follows its parameters."""
    for start in re.finditer(rf"^(?:[\w:<>,&*\[\]]+ )*[&*]?{re.escape(function)}\(", text, re.M):
        depth, at = 1, start.end()
        while depth and at < len(text):
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        if re.match(r"\s*(const)?\s*(noexcept)?\s*(override)?\s*\{", text[at:]):
            return True
    return False


def check(tree):
    rows = ROW.findall(tree.read(PAGE))
    if len(rows) < LEAST:
        yield f"{PAGE}: the table of one isend() is gone"
    for expected, (number, path, function) in enumerate(rows, 1):
        if int(number) != expected:
            yield f"{PAGE}: step {number} stands where step {expected} is due"
        if path not in tree.files:
            yield f"{PAGE}: step {number}: there is no {path}"
        elif not defines(tree.read(path), function):
            yield f"{PAGE}: step {number}: {path} does not define {function}"
