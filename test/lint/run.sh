#!/usr/bin/env bash
# Everything that can be said about the tree without running it. usage: run.sh build/release
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build/release} bad=0
step() {
  "$@" || {
    echo "lint: $* failed" >&2
    bad=1
  }
}
formatted() {
  git ls-files '*.cc' '*.h' | grep -v '^include/relay/' | xargs clang-format --dry-run -Werror
}
short_enough() { # a file that outgrows its idea is split
  git ls-files 'plugin/*.cc' 'plugin/*.h' 'include/*.h' 'tools/*.cc' 'tools/*.h' | xargs wc -l |
    awk '$2 != "total" && $1 > ($2 ~ /^include/ ? 180 : $2 ~ /[.]h$/ ? 150 : 400) {print $2 ": " $1 " lines"; bad = 1} END {exit bad}'
}
clang_too() { # warnings as errors, with the other compiler; a directory at a time, since headers cost most
  git ls-files 'plugin/*.cc' 'tools/*.cc' | xargs dirname | sort -u | xargs -P "$(nproc)" -I{} bash -c '
    printf "#include \"%s\"\n" {}/*.cc | clang++ -x c++ -std=c++20 -fsyntax-only -I. -Iinclude -Iplugin -Itools \
      -DRELAY_VERSION=\"0\" -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Werror -'
}
knobs_documented() { diff <("$build/nccl-relay" knobs) docs/knobs.md; }

step python3 test/lint/check_layers.py .
step python3 test/lint/check_classes.py .
step python3 test/lint/check_comments.py .
step python3 test/mutation/run.py --check
step python3 test/lint/check_docs.py . "$build"
step python3 test/lint/check_docs_test.py . "$build"
step test/lint/check_so.sh "$build/libnccl-net-relay.so" 2.35
step formatted
step short_enough
step knobs_documented
mapfile -t scripts < <(git ls-files "*.sh")
step shellcheck -x -S warning "${scripts[@]}" test/nccl/rank.sh.in .ci/run
step clang_too
exit "$bad"
