#!/usr/bin/env bash
# What the arm64 cross-build needs beside deps.sh: a compiler, an emulator, and arm64 libraries in a folder of their own,
# so that the machine's package architectures stay as they are. Does nothing when all of it is there.
# usage: deps_arm64.sh build/arm64-libraries
set -euo pipefail
to=${1:?usage: deps_arm64.sh FOLDER}
"$(dirname "$0")/deps.sh" test g++-aarch64-linux-gnu qemu-user

libraries=(libexpected-dev libcli11-dev nlohmann-json3-dev libfmt-dev libfmt9 libgtest-dev libgmock-dev librapidcheck-dev
           libsodium-dev libibverbs-dev)
wanted="${libraries[*]}"
[ "$(cat "$to/packages" 2>/dev/null)" != "$wanted" ] || exit 0

# apt with a state of its own: the machine's sources and keys, arm64's lists, nothing installed.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists,archives}/partial "$work/debs"
: >"$work/status"
chmod -R a+rX "$work"
cat >"$work/apt.conf" <<CONF
APT::Architecture "arm64";
#clear APT::Architectures;
APT::Architectures { "arm64"; };
Dir::State "$work";
Dir::State::lists "$work/lists";
Dir::State::status "$work/status";
Dir::Cache "$work";
Dir::Cache::archives "$work/archives";
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
CONF
echo "deps: fetching for arm64: $wanted"
export APT_CONFIG=$work/apt.conf
apt-get -q -q update
(cd "$work/debs" && apt-get -q -q download "${libraries[@]}")
rm -rf "$to"
mkdir -p "$to"
for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$to"; done
# Headers only, the same for every machine.
ln -sfn /usr/include/boost "$to/usr/include/boost"
echo "$wanted" >"$to/packages"
