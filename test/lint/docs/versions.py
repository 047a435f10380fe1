"""The version is what CMakeLists.txt says, wherever it is told; the versions of formats are those of the sources."""
import re


def check(tree):
    version = re.search(r"project\(\S+ VERSION ([\d.]+)", tree.read("CMakeLists.txt"))[1]
    if not re.search(rf"\A[^#]*# Changes\n.*?^## {re.escape(version)}\b", tree.read("CHANGELOG.md"), re.M | re.S):
        yield f"CHANGELOG.md: there is no heading for {version}"
    for page in tree.present():
        for number, line in enumerate(page.text.splitlines(), 1):
            for told in re.findall(r"(?:nccl-relay|build)[\" :]+(\d+\.\d+\.\d+)", line):
                if told != version:
                    yield f"{page.where(number)}: {told} is not the version, {version} is"
    for path in tree.sources("plugin/", "include/", "tools/"):
        for told in re.findall(r'"(\d+\.\d+\.\d+)"', tree.read(path)):
            if told != version:
                yield f"{path}: \"{told}\" is not the version, {version} is"
    if (built := tree.run("--version").strip()) != version:
        yield f"{tree.build}/nccl-relay is {built}, CMakeLists.txt says {version}: build it anew"
    yield from _check_formats(tree)


def _check_formats(tree):
    text = "\n".join(tree.read(path) for path in tree.sources("plugin/", "include/"))
    known = dict(re.findall(r"^(?:inline )?const(?:expr)? \w+ (k\w*Version) = (\d+);", text, re.M))
    told = {name: number for number, name in re.findall(r"^\| (\d+) \| `(k\w+)` \|", tree.read("CHANGELOG.md"), re.M)}
    for name in sorted(known.keys() | told.keys()):
        if known.get(name) != told.get(name):
            here, there = told.get(name, "not told of"), known.get(name, "nothing")
            yield f"CHANGELOG.md: {name} is {here}, the sources say {there}"
