#!/usr/bin/env bash
# Installs what building and testing need on Debian 12; does nothing when all of it is there.
# usage: deps.sh [further packages]
set -euo pipefail
packages=(
  g++ clang clang-format clang-tidy libclang-rt-14-dev llvm cmake ninja-build ccache make binutils
  libexpected-dev libcli11-dev nlohmann-json3-dev libfmt-dev libsodium-dev libibverbs-dev
  libgtest-dev libgmock-dev librapidcheck-dev libbenchmark-dev
  libboost-dev python3-prometheus-client
  iproute2 iperf3 nftables procps python3 python3-pip python3-pytest unzip gdb shellcheck git ca-certificates
  "$@"
)
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
