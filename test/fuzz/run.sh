#!/usr/bin/env bash
# run.sh SECONDS [TARGET...]: builds the fuzzers into build/fuzz and runs each (or those named: frame, recv_stream, ...)
# for SECONDS, from corpus/ and what earlier runs found. Fails on any finding and leaves it in build/fuzz/findings.
set -euo pipefail
seconds=${1:?usage: run.sh SECONDS [TARGET...]}
shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "$here/../.." && pwd)/build/fuzz
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(control fabric frame handle hello knobs link_state rdma recv_stream send_stream session setup)

build() {
  cmake -S "$here/../.." -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_UNITY_BUILD=ON -DRELAY_SANITIZE=fuzz \
    -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ --log-level=WARNING && cmake --build "$build" --target "${targets[@]/#/fuzz_}"
}
mkdir -p "$build"
if ! build >"$build/build.log" 2>&1; then
  tail -40 "$build/build.log"
  exit 1
fi

# Findings are the exit status; the log tells them.
run() {
  local name=$1 dir=$build/findings/$1
  mkdir -p "$dir" "$build/found/$name"
  if "$build/test/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 \
    -artifact_prefix="$dir/" "$build/found/$name" "$here/corpus/$name" >"$dir/log" 2>&1; then
    echo "fuzz $name: $(tail -1 "$dir/log")"
  else
    echo "fuzz $name: a finding in $dir" >&2
    tail -40 "$dir/log" >&2
    return 1
  fi
}
bad=0 running=0
for name in "${targets[@]}"; do
  if [ "$running" = 2 ]; then
    wait -n || bad=1
    running=1
  fi
  run "$name" &
  running=$((running + 1))
done
for ((; running > 0; running--)); do
  wait -n || bad=1
done
exit "$bad"
