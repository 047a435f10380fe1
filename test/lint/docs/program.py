"""Subcommands and options of nccl-relay: what a document writes exists, and what exists is in the page for it."""
import re

# Where the options of a command are looked for; others may be in any document.
PAGES = {"perf": "docs/perf.md", "lab": "docs/lab.md"}
EVERYWHERE = {"--help", "-h", "--version"}
# Other programs have these, where a document names them without their command.
FOREIGN = {"--device", "--cap-add", "--ulimit", "--user", "--build-arg"}
OPTION = r"(?<![\w-])--?[a-z][a-z-]*"


def commands(tree, *path):
    """{("lab", "run"): {"--rate", ...}}, as the program tells."""
    help_text = tree.run(*path, "--help")
    _, _, below = help_text.partition("\nSubcommands:\n")
    names = re.findall(r"^  (\w+)(?= )", below, re.M)
    out = {} if names else {path: _options(help_text)}
    for name in names:
        out |= commands(tree, *path, name)
    return out


def _options(help_text):
    lines = re.findall(r"^  (-.*)$", help_text, re.M)
    return {option for line in lines for option in re.findall(OPTION, re.split(r"  +", line)[0])} - EVERYWHERE


def _told(page):
    """(line, command line): of what stands between backticks, and of blocks."""
    yield from ((line, text) for line, text in page.spans() if re.match(r"\S*nccl-relay ", text))
    for number, language, lines in page.blocks:
        if language in ("python", "json", "yaml"):
            continue
        text = re.sub(r"\s+#.*", "", "\n".join(lines))
        line = number + 1
        for command in re.split(r"(?<!\\)\n", text):
            yield line, command.replace("\\\n", " ")
            line += command.count("\n") + 1


def _calls(text):
    """What follows each nccl-relay, up to the end of its command."""
    for call in re.finditer(r"(?:^|(?<=\s)|(?<=build/)|(?<=bin/))nccl-relay +([a-z]+\b(?!/).*)", text):
        words = []
        for word in re.split(r" nccl-relay ", call[1])[0].split():
            if word in ("|", "&&", ";", "--", ">", "...") or word.startswith("#"):
                break
            words.append(word)
        yield words


def _check_call(words, known):
    name = words[0].rstrip(":,.")
    paths = [path for path in known if path[0] == name]
    if not paths:
        yield f"nccl-relay has no {name}"
        return
    if len(paths[0]) > 1 and len(words) > 1:
        paths = [path for path in paths if path[1] == words[1].rstrip(":,.")]
        if not paths:
            yield f"nccl-relay {name} has no {words[1]}"
            return
    options = set().union(*(known[path] for path in paths)) | EVERYWHERE
    for word in words:
        option = re.match(OPTION, word)
        if option and option[0] not in options:
            yield f"nccl-relay {' '.join(paths[0])} has no {option[0]}"


def _of_scripts(tree):
    """Options of this project's own scripts and test programs."""
    text = "".join(tree.read(path) for path in tree.sources("test/", "tools/", endings=(".py", ".sh", ".cc")))
    return set(re.findall(r"[\"'\[(|] *(--[a-z][a-z-]*)", text))


def _check_alone(tree, known):
    """Options that stand between backticks without their program."""
    all_known = set().union(*known.values()) | EVERYWHERE | FOREIGN | _of_scripts(tree)
    for page in tree.present():
        for line, text in page.spans():
            if not text.startswith("-"):
                continue
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text):
                if option not in all_known:
                    yield f"{page.where(line)}: nothing here knows {option}"


def check(tree):
    known = commands(tree)
    for page in tree.present():
        for line, text in _told(page):
            for words in _calls(text):
                for complaint in _check_call(words, known):
                    yield f"{page.where(line)}: {complaint}"
    yield from _check_alone(tree, known)
    texts = {page.path: page.text for page in tree.present()}
    for path, options in sorted(known.items()):
        page = PAGES.get(path[0])
        text = texts[page] if page else "\n".join(t for name, t in texts.items() if name not in PAGES.values())
        where = page or "docs/"
        if not re.search(rf"nccl-relay {' '.join(path)}\b|`{' '.join(path)}\b", text):
            yield f"{where}: nccl-relay {' '.join(path)} is not told of"
        for option in sorted(options):
            if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text):
                yield f"{where}: {option} of nccl-relay {' '.join(path)} is not told of"
