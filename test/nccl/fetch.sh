#!/usr/bin/env bash
# fetch.sh DIR [VERSION... | all]: obtains NCCL and the CUDA headers into DIR, from wheels pinned by version and hash. Needs python3 with
# pip, no CUDA. Without a version: those that the tests run with. A second call finds everything there and uses no network,
# nor does one for another DIR that is told NCCL_WHEELS=DIR, which it then links to.
#   DIR/nccl-VERSION/lib/libnccl.so.2 and include/nccl.h; DIR/nccl, a link to the version that programs are built for; DIR/cuda/include
set -euo pipefail

# The newest net plugin a version knows: 2.22, 2.23 v8; 2.24, 2.25 v9; 2.26, 2.27 v10; 2.28, 2.29 v11; from 2.30 v12.
tested='2.22.3 2.25.1 2.27.7 2.28.9 2.32.3'
further='2.23.4 2.24.3 2.26.5 2.29.7 2.30.7 2.31.2'
built_for=2.28.9
pins='
nvidia-nccl-cu12==2.22.3 --hash=sha256:f9f5e03c00269dee2cd1aa57019f9a024478a74ae6e9b32d5341c849fe6f6302
nvidia-nccl-cu12==2.23.4 --hash=sha256:b097258d9aab2fa9f686e33c6fe40ae57b27df60cedbd15d139701bb5509e0c1
nvidia-nccl-cu12==2.24.3 --hash=sha256:e5c5167351e8936b96ddad8ac6f687199e22d09db07cf08af9457a123b34cac0
nvidia-nccl-cu12==2.25.1 --hash=sha256:362aed5963fb9ea2ed2f264409baae30143498fd0e5c503aeaa1badd88cdc54a
nvidia-nccl-cu12==2.26.5 --hash=sha256:ea5ed3e053c735f16809bee7111deac62ac35b10128a8c102960a0462ce16cbe
nvidia-nccl-cu13==2.27.7 --hash=sha256:b28a524abd8389b76a4a3f133c76a7aaa7005e47fcaa9d9603b90103927a3f93
nvidia-nccl-cu13==2.28.9 --hash=sha256:e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42
nvidia-nccl-cu13==2.29.7 --hash=sha256:edd81538446786ec3b73972543e53bb43bcaf0bfc8ef76cb679fcc390ffe136d
nvidia-nccl-cu13==2.30.7 --hash=sha256:cefa7fdb9710efd0f39c5f1be1d61ff6fc9a996c451265bd7fbdcf9455ed4b50
nvidia-nccl-cu13==2.31.2 --hash=sha256:0bcaf0308854cb55fcc35af72e2c83143f3b71e65a4e865e2c586b1cdcdb5ae0
nvidia-nccl-cu13==2.32.3 --hash=sha256:1459723080ac889d73a26edfa3e04383a7928ab31ac8f0ec43b3ea9548b04ff3
'
cuda_pins='nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cuda-crt==13.0.88 --hash=sha256:2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4'

if [ $# -lt 1 ]; then
  echo "usage: ${0##*/} DIR [VERSION... | all]     (versions: $tested $further)" >&2
  exit 2
fi
if [ "$(uname -m)" != x86_64 ]; then
  echo "${0##*/}: NCCL is emulated on x86-64 only, this is $(uname -m)" >&2
  exit 1
fi
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift
case "${*:-tested}" in
  tested) versions=$tested ;;
  all) versions="$tested $further" ;;
  *) versions="$built_for $*" ;;
esac

# One call at a time. A folder appears when it is whole, and what an interrupted call left is swept away.
exec 9>"$dir/.lock"
flock 9
work=$dir/.fetch
trap 'rm -rf "$work"' EXIT

# obtain FOLDER PINS SUBFOLDER...: these folders of the pinned wheels as DIR/FOLDER, unless they are there already.
obtain() {
  local folder=$1 requirements=$2
  shift 2
  if [ "$(cat "$dir/$folder/.pinned" 2>/dev/null)" = "$requirements" ]; then return; fi
  if [ "$(cat "${NCCL_WHEELS:-}/$folder/.pinned" 2>/dev/null)" = "$requirements" ]; then
    rm -rf "${dir:?}/$folder"
    ln -s "$(cd "$NCCL_WHEELS/$folder" && pwd)" "$dir/$folder"
    return
  fi
  rm -rf "$work"
  mkdir -p "$work/whole"
  printf '%s\n' "$requirements" >"$work/requirements.txt"
  # Where pip looks (mirrors, certificates) is the machine's business; the hashes decide what is accepted.
  python3 -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --only-binary=:all: --require-hashes \
    --requirement "$work/requirements.txt" --dest "$work/wheels"
  for wheel in "$work"/wheels/*.whl; do
    python3 -m zipfile --extract "$wheel" "$work/unpacked"
  done
  for subfolder in "$@"; do mv "$work/unpacked/nvidia/$subfolder" "$work/whole/"; done
  printf '%s\n' "$requirements" >"$work/whole/.pinned"
  rm -rf "${dir:?}/$folder"
  mv "$work/whole" "$dir/$folder"
}

obtain cuda "$cuda_pins" cu13/include
for version in $versions; do
  pin=$(grep -F "==$version " <<<"$pins") || {
    echo "${0##*/}: NCCL $version is not pinned; these are: $tested $further" >&2
    exit 2
  }
  obtain "nccl-$version" "$pin" nccl/lib nccl/include
done
if [ ! -L "$dir/nccl" ]; then rm -rf "$dir/nccl"; fi
ln -sfn "nccl-$built_for" "$dir/nccl"
