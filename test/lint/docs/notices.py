"""NOTICE names every library of others whose headers the product includes."""
import re

# The kernel's and libc's own.
SYSTEM = {"arpa", "linux", "net", "netinet", "sys"}


def check(tree):
    notice = tree.read("NOTICE")
    for path in tree.sources("plugin/", "include/", "tools/"):
        for header in re.findall(r"^#include <((\w+)/[^>]+)>", tree.read(path), re.M):
            if header[1] not in SYSTEM and f"<{header[1]}/" not in notice:
                yield f"NOTICE: <{header[0]}> is included by {path}, and not told of"
