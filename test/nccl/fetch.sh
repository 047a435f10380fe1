#!/usr/bin/env bash
# fetch.sh DIR: obtains NCCL and the CUDA headers into DIR, from wheels pinned by version and hash. Needs python3 with pip, no CUDA.
# A second call finds everything there and uses no network.
#   DIR/nccl/lib/libnccl.so.2, DIR/nccl/include/nccl.h, DIR/cuda/include/cuda.h ...
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: ${0##*/} DIR" >&2
  exit 2
fi
if [ "$(uname -m)" != x86_64 ]; then
  echo "${0##*/}: NCCL is emulated on x86-64 only, this is $(uname -m)" >&2
  exit 1
fi

requirements='
nvidia-nccl-cu13==2.28.9 --hash=sha256:e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42
nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cuda-crt==13.0.88 --hash=sha256:2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4
'

mkdir -p "$1"
dir=$(cd "$1" && pwd)
exec 9>"$dir/.lock"
flock 9
# The stamp is written last: an interrupted call starts again.
if [ -f "$dir/.pinned" ] && [ "$(cat "$dir/.pinned")" = "$(printf '%s' "$requirements")" ]; then
  exit 0
fi

work=$(mktemp -d "$dir/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
printf '%s' "$requirements" >"$work/requirements.txt"
# Where pip looks (mirrors, certificates) is the machine's business; the hashes decide what is accepted.
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
  --requirement "$work/requirements.txt" --dest "$work/wheels"
for wheel in "$work"/wheels/*.whl; do
  python3 -m zipfile --extract "$wheel" "$work/unpacked"
done

rm -rf "$dir/nccl" "$dir/cuda" "$dir/.pinned"
mkdir "$dir/cuda"
mv "$work/unpacked/nvidia/nccl" "$dir/nccl"
mv "$work/unpacked/nvidia/cu13/include" "$dir/cuda/include"
printf '%s' "$requirements" >"$dir/.pinned"
