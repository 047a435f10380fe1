"""The rows of one collective, NCCL through the plugin beside NCCL's own sockets: `table.py COLLECTIVE RELAY SOCKET`.

Both files hold what `nccl-relay lab run` printed. Status 1 where a run brought no result, or a wrong one.
"""
import json
import sys


def document(path):
    for line in open(path, encoding="utf-8", errors="replace"):
        _, bar, text = line.partition("| ")
        if bar and text.startswith('{"collective"'):
            return json.loads(text)
    return None


def cell(row):
    if row is None:
        return "- | -"
    return f"{row['out_of_place']['time_us']:.1f} | {row['out_of_place']['busbw']:.3f}"


collective, *paths = sys.argv[1:]
documents = [document(path) for path in paths]
rows = [{row["size"]: row for row in found["rows"]} if found else {} for found in documents]
for size in sorted(set().union(*rows)):
    wrong = [sum(row[place]["wrong"] or 0 for place in ("out_of_place", "in_place")) for row in
             (by_size.get(size) for by_size in rows) if row]
    print(f"| {collective} | {size} | {cell(rows[0].get(size))} | {cell(rows[1].get(size))} | {sum(wrong):.0f} |")
right = all(found and found["out_of_bounds"] == 0 for found in documents)
if not right:
    print(f"table.py: {collective}: a run has failed or is wrong, see {' and '.join(paths)}", file=sys.stderr)
sys.exit(0 if right else 1)
