"""docs/wire.md: each format names a header, a version and tests that are there, and what the headers define is named."""
import re

PAGE = "docs/wire.md"
SETUP, FRAME, CONTROL = "include/relay/setup.h", "include/relay/frame.h", "include/relay/control.h"


def formats(page):
    """(line, title, {"header": cell, "version": cell, "pinned by": cell}) of each section that has such a table."""
    sections = []
    for number, line in page.prose:
        if heading := re.match(r"## (.*)", line):
            sections.append((number, heading[1], {}))
        elif sections and (row := re.match(r"\| (header|version|pinned by) \| (.*) \|$", line)):
            sections[-1][2][row[1]] = row[2]
    return [section for section in sections if section[2]]


def _check_header(tree, cell):
    paths = re.findall(r"`([\w/]+\.h)`", cell)
    if not paths:
        yield "names no header"
    for path in paths:
        if path not in tree.files:
            yield f"there is no {path}"
    text = "\n".join(tree.read(path) for path in paths if path in tree.files)
    for name in re.findall(r"`(\w+)`", cell):
        if not re.search(rf"\b{name}\b", text):
            yield f"no header of it has {name}"


def _versions(tree):
    text = "\n".join(tree.read(path) for path in tree.sources("plugin/", "include/"))
    return dict(re.findall(r"^(?:inline )?const(?:expr)? \w+ (k\w*Version) = (\d+);", text, re.M))


def _check_version(known, cell):
    for name, number in re.findall(r"`(k\w+Version)` (\d+)", cell):
        if known.get(name) != number:
            yield f"{name} is not {number}, the sources say {known.get(name, 'nothing')}"
    if not re.match(r"`k\w+Version` \d+|that of |none: ", cell):
        yield "says no version"


def _check_tests(tree, cell):
    for path, names in re.findall(r"`([\w/]+_test\.cc)`: ((?:`\w+\.\w+`(?:, )?)+)", cell):
        for suite, test in re.findall(r"`(\w+)\.(\w+)`", names):
            if path not in tree.files:
                yield f"there is no {path}"
            elif not re.search(rf"^TEST(?:_F|_P)?\({suite}, {test}\)", tree.read(path), re.M):
                yield f"{path} has no {suite}.{test}"
    if "_test.cc`: `" not in cell:
        yield "names no test"


def _codecs(tree):
    """{function: header}"""
    out = {}
    for path in tree.sources("include/", "plugin/", endings=(".h",)):
        for name in re.findall(r"^[\w:<>,\[\] ]*\b((?:Encode|Decode)\w*)\(", tree.read(path), re.M):
            out[name] = path
    return out


def _numbered(tree):
    """(what, "| 1 | OPEN |"): each type of a message, as its table has it."""
    for path, enum in ((SETUP, "SetupType"), (FRAME, "FrameType")):
        body = re.search(rf"enum class {enum} [^{{]*{{(.*?)}};", tree.read(path), re.S)[1]
        for name, number in re.findall(r"\bk(\w+) = (\d+)", body):
            yield f"{enum}::k{name}", f"| {number} | {name.upper()} |"
    variant = re.search(r"using Message = std::variant<(.*?)>;", tree.read(CONTROL), re.S)[1]
    for number, name in enumerate(re.findall(r"\w+", variant), 1):
        yield f"control::{name}", f"| {number} | {name} |"


def check(tree):
    page = tree.document(PAGE)
    known = _versions(tree)
    for number, title, cells in formats(page):
        for row, complaints in (("header", lambda cell: _check_header(tree, cell)),
                                ("version", lambda cell: _check_version(known, cell)),
                                ("pinned by", lambda cell: _check_tests(tree, cell))):
            for complaint in complaints(cells.get(row, "")):
                yield f"{page.where(number)}: {title}: {complaint}"
    told = " ".join(cell for _, _, cells in formats(page) for cell in cells.values())
    for name, path in sorted(_codecs(tree).items()):
        if f"`{name}`" not in told:
            yield f"{PAGE}: {name} of {path} belongs to no format"
    for name in sorted(known):
        if f"`{name}`" not in told:
            yield f"{PAGE}: {name} belongs to no format"
    for what, row in _numbered(tree):
        if row not in page.text:
            yield f"{PAGE}: {what} has no row \"{row}\""
