#!/usr/bin/env bash
# Installs Debian 12's packages for one purpose; does nothing when all of them are there.
# usage: deps.sh build|demo|test [further packages]
#   build  what compiling the plugin and nccl-relay needs
#   demo   besides: the real NCCL over a lab (make demo)
#   test   besides: everything that `make check` runs
set -euo pipefail
purpose=${1:-}
packages=(
  g++ cmake ninja-build make binutils
  libexpected-dev libcli11-dev nlohmann-json3-dev libfmt-dev libsodium-dev libibverbs-dev libboost-dev
)
demo=(iproute2 procps python3 python3-pip unzip git ca-certificates)
test=(
  ccache clang clang-format clang-tidy libclang-rt-14-dev llvm gdb shellcheck
  libgtest-dev libgmock-dev librapidcheck-dev libbenchmark-dev
  iperf3 nftables python3-pytest python3-pytest-xdist python3-prometheus-client
)
case $purpose in
  build) ;;
  demo) packages+=("${demo[@]}") ;;
  test) packages+=("${demo[@]}" "${test[@]}") ;;
  *)
    echo "usage: deps.sh build|demo|test [further packages]" >&2
    exit 2
    ;;
esac
packages+=("${@:2}")

missing=()
for p in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
done
[ ${#missing[@]} = 0 ] && exit 0
as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "deps: need root (or sudo) to install: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "deps: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q
"${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}"
