#!/usr/bin/env python3
"""Fails when a class of plugin/ or tools/ has more data members, or more flags, than one can hold in mind.

Counted are the non-static data members of each class and struct, and of these the flags: bool and std::atomic<bool>.
What is inherited counts where it is declared, what is nested counts as a class of its own. Left out are plain structs:
options, facts and messages whose members are all public and that have no functions but constructors and operators. They
are read field by field, by name; nothing in them has to be held in mind together.

A class that is over a limit is split by what its members are about, not cut over two files.

>>> [(c.name, c.members, c.flags, c.plain) for c in classes_of('''
... template <class T> class Pair final : public Base<T>, private Other {
...  public:
...   explicit Pair(T a) : a_(a), b_{a} { int local = 0; }
...   bool empty() const { return a_ < b_; }
...   bool operator<(const Pair&) const = default;
...   enum class Kind : uint8_t { kOne, kTwo };
...   struct Option { std::string text = "a;b{"; bool on = false, off = true; Option() {} };
...  private:
...   static constexpr int kMost = 3;
...   using F = std::function<bool(int)>;
...   friend class Maker;
...   T a_, b_;  // not a member: int c_;
...   std::function<void(int, bool)> call_ = [] (int, bool) { return; };
...   void (*raw_)(int) = nullptr;
...   std::map<int, std::pair<bool, T>> map_{};
...   mutable bool seen_ = false;
...   std::atomic<bool> armed_{true};
... };''')]
[('Pair', 7, 2, False), ('Pair::Option', 3, 2, True)]
"""
import dataclasses
import doctest
import pathlib
import re
import sys

MOST_MEMBERS, MOST_FLAGS = 20, 5

TOKEN = re.compile(r'[A-Za-z_]\w*|::|\[\[|\]\]|->|\d[\w.\']*|[^\s\w]')
NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
                   r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'", re.S | re.M)
OPEN, CLOSE = {"(": ")", "[": "]", "{": "}", "[[": "]]"}, {")", "]", "}", "]]"}


@dataclasses.dataclass
class Class:
    name: str
    where: str
    members: int = 0
    flags: int = 0
    functions: int = 0
    hidden: bool = False  # some of it is private

    @property
    def plain(self):
        return not self.functions and not self.hidden


def tokens_of(text):
    """Comments and preprocessor lines are gone, literals are one 0 each."""
    text = NOISE.sub(lambda m: "0" if m[0][0] in "R\"'" else "\n" * m[0].count("\n") or " ", text)
    return [(m[0], text.count("\n", 0, m.start()) + 1) for m in TOKEN.finditer(text)]


class Parser:
    def __init__(self, text, path):
        self.tokens = tokens_of(text)
        self.path = path
        self.at = 0
        self.found = []

    def peek(self):
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def take(self):
        self.at += 1
        return self.tokens[self.at - 1][0]

    def skip_group(self):
        """Behind the bracket that closes the one that is next."""
        depth = 0
        while self.at < len(self.tokens):
            token = self.take()
            depth += (token in OPEN) - (token in CLOSE)
            if depth == 0:
                return

    def scope(self, owner):
        """What is declared up to the end of a class (`owner`), a namespace, or the file."""
        while self.at < len(self.tokens) and self.peek() != "}":
            self.declaration(owner)
        self.at += 1

    def declaration(self, owner):
        line = self.tokens[self.at][1]
        said = []
        while self.at < len(self.tokens):
            token = self.peek()
            if token == "}":
                return
            if token == ";":
                self.at += 1
                return self.end(owner, said)
            if token == ":" and said and said[-1] in ("public", "private", "protected") and len(said) == 1:
                if owner and said[0] != "public":
                    owner.hidden = True
                self.at += 1
                said = []
            elif token == "{":
                if self.body(owner, said, line):
                    return
            elif token in ("[[", "(", "["):
                begin = self.at
                self.skip_group()
                inside = [t for t, _ in self.tokens[begin:self.at]]
                said += [] if token == "[[" else inside if token == "(" and inside[1:2] == ["*"] else [token, OPEN[token]]
            else:
                said.append(self.take())

    def body(self, owner, said, line):
        """What opens here is read or skipped. True: the declaration is over."""
        said_plain = without_angles(strip_template(said))
        kinds = [t for t in said_plain if t in ("class", "struct", "union", "enum", "namespace")]
        if said_plain[:1] == ["extern"] or "namespace" in kinds:
            self.at += 1
            self.scope(owner)
            return True
        if "enum" in kinds:
            self.skip_group()
            said[:] = ["int"]
            return False
        if kinds and "(" not in said_plain and "=" not in said_plain:
            name = class_name(said_plain, kinds[0])
            inner = Class((owner.name + "::" if owner else "") + name, f"{self.path}:{line}", hidden=kinds[0] == "class")
            self.found.append(inner)
            self.at += 1
            self.scope(inner)
            said[:] = ["struct"]  # declarators may follow
            return False
        function = is_function(said_plain)
        self.skip_group()
        if function and self.peek() not in (",", "{"):  # else it was a member's initialiser, before the body
            self.end(owner, said)
            return True
        if not owner and self.peek() != ";":
            return True
        said.append("{}")
        return False

    def end(self, owner, said):
        if not owner:
            return
        said = strip_template(said)
        if not said or said[0] in ("using", "typedef", "friend", "static_assert") or "static" in said:
            return
        plain = without_angles(said)
        if is_function(plain):
            bare = owner.name.rsplit("::", 1)[-1]
            trivial = "operator" in plain or plain[:1] == ["~"] or bare in plain[:plain.index("(")]
            owner.functions += not trivial
            return
        declared = plain
        if "=" in plain:
            declared = plain[:plain.index("=")]
        if declared[0] in ("struct", "class", "union", "int") and len(declared) == 1:
            return  # a nested type without a declarator
        if declared[0] in ("struct", "class", "union", "enum") and len(declared) == 2:
            return  # named before it is defined
        count = 1 + plain.count(",")
        owner.members += count
        owner.flags += count if is_flag(said) else 0


def strip_template(said):
    said = list(said)
    while said[:1] == ["template"]:
        depth = 0
        for i, token in enumerate(said[1:], 1):
            depth += (token == "<") - (token == ">")
            if depth == 0:
                said = said[i + 1:]
                break
        else:
            return said
    return said


def without_angles(said):
    """Template arguments left out: what remains has its commas and brackets at the top."""
    out, depth = [], 0
    for i, token in enumerate(said):
        if "operator" in said[max(0, i - 2):i] and token in "<>=-":
            continue
        if token == "<" and out and re.match(r"\w", out[-1]) and ("=" not in out or depth):
            depth += 1
        elif token == ">" and depth:
            depth -= 1
        elif not depth:
            out.append(token)
    return out


def is_function(plain):
    if "=" in plain:
        plain = plain[:plain.index("=")]
    if "(" not in plain:
        return False
    at = plain.index("(")
    if plain[at + 1:at + 2] == ["*"]:
        return False  # a pointer to one
    return not (at and plain[at - 1] in ("alignas", "decltype"))


def is_flag(said):
    words = [t for t in said if t not in ("mutable", "const", "volatile", "std", "::")]
    return words[:1] == ["bool"] or words[:4] == ["atomic", "<", "bool", ">"]


def class_name(plain, kind):
    name = ""
    for token in plain[plain.index(kind) + 1:]:
        if token in ("final", ":"):
            break
        name += token
    return name or "(unnamed)"


def classes_of(text, path="text"):
    parser = Parser(text, path)
    while parser.at < len(parser.tokens):
        parser.scope(None)
    return parser.found


def table(title, classes, number, limit):
    print(f"{title} (at most {limit}):")
    for c in sorted(classes, key=lambda c: (-number(c), c.name))[:10]:
        print(f"  {number(c):3} {c.name:34} {c.where}")


def main():
    if doctest.testmod().failed:
        return 1
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    classes = []
    for top in ("plugin", "tools"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix in (".h", ".cc"):
                classes += classes_of(path.read_text(), path.relative_to(root))
    with_behaviour = [c for c in classes if not c.plain]
    table("classes with most members", with_behaviour, lambda c: c.members, MOST_MEMBERS)
    table("classes with most flags", with_behaviour, lambda c: c.flags, MOST_FLAGS)
    bad = [f"{c.where}: {c.name} has {c.members} members, {c.flags} flags"
           for c in with_behaviour if c.members > MOST_MEMBERS or c.flags > MOST_FLAGS]
    print("\n".join(bad) or f"classes hold: {len(with_behaviour)} with behaviour, {len(classes) - len(with_behaviour)} plain")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
