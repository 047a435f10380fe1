#!/usr/bin/env bash
# Builds the images of docker/Dockerfile on a Debian 12 that has neither a container engine nor a registry: buildah,
# over a base that debootstrap makes once. Everything is left in build/images, and nothing outside but packages.
# usage: images.sh [CONTEXT]           build them; CONTEXT is the tree to build from (this one)
#        images.sh buildah ARGS...     any command of buildah's on what was built
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
here=$root/build/images
image=localhost/nccl-relay

storage() { # overlay where it can be mounted; else whole copies of every layer
  local probe=$here/probe
  mkdir -p "$probe"/{lower,upper,work,merged}
  if mount -t overlay overlay -o "lowerdir=$probe/lower,upperdir=$probe/upper,workdir=$probe/work" "$probe/merged" \
    2>/dev/null; then
    umount "$probe/merged"
    # Without this the driver's folder stays mounted on itself, and `make clean` cannot remove it.
    echo "overlay --storage-opt overlay.skip_mount_home=true"
  else
    echo vfs
  fi
}

run_buildah() {
  mkdir -p "$here/tmp"
  [ -s "$here/driver" ] || storage >"$here/driver"
  # shellcheck disable=SC2046  # the driver and its options are words
  TMPDIR=$here/tmp buildah --root "$here/storage" --runroot "$here/run" --storage-driver $(cat "$here/driver") "$@"
}

mirrors() { # the host's, the main one first
  # shellcheck disable=SC2016  # apt puts it in
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages'
}

# Debian 12, as small as its own image. The host's mirror and proxy are used, and no trace of them is left in it.
make_base() {
  local tree=$here/base mirror proxy
  mirror=$(mirrors | sed -n 1p)
  proxy=$(apt-config dump --format '%v%n' Acquire::http::Proxy)
  [ -z "$proxy" ] || export http_proxy=${http_proxy:-$proxy}
  rm -rf "$tree"
  debootstrap --variant=minbase bookworm "$tree" "$mirror" >"$here/debootstrap.log" ||
    { tail -n 20 "$here/debootstrap.log" "$tree/debootstrap/debootstrap.log" >&2 && return 1; }
  rm -rf "$tree"/etc/apt/sources.list "$tree"/var/lib/apt/lists/* "$tree"/var/cache/apt/* \
    "$tree"/usr/share/{info,locale,man}/* "$tree"/var/log/*.log "$tree"/etc/{resolv.conf,hostname}
  find "$tree/usr/share/doc" -type f ! -name copyright -delete
  tar -C "$tree" --numeric-owner -cf "$here/base.tar.new" .
  mv "$here/base.tar.new" "$here/base.tar"
  rm -rf "$tree"
}

import_base() {
  local container
  container=$(run_buildah from scratch)
  run_buildah add -q "$container" "$here/base.tar" / >/dev/null
  run_buildah config --cmd bash --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  run_buildah commit -q --rm "$container" "$image/base" >/dev/null
}

# The host's apt settings are mounted while a step runs, and thus are in no image.
bud() { # arguments of `buildah bud`
  local apt=(-v /etc/apt:/etc/apt:ro -v /usr/share/keyrings:/usr/share/keyrings:ro)
  if mirrors | grep '^https:' >/dev/null; then apt+=(-v /etc/ssl/certs:/etc/ssl/certs:ro); fi
  # Only Docker's format has health checks.
  run_buildah bud --isolation chroot --format docker --layers --force-rm "${apt[@]}" "$@"
}

target() { # name, further arguments
  local name=$1
  shift
  echo "images: $name"
  bud -q --build-arg "DEBIAN=$image/base" --target "$name" -t "$image/$name" "$@" -f "$root/docker/Dockerfile" "$context"
}

if [ "${1:-}" = buildah ]; then
  shift
  run_buildah "$@"
  exit
fi
[ "$(id -u)" = 0 ] || { echo "images: root is needed to make a base and to mount" >&2 && exit 1; }
context=${1:-$root}
"$root/tools/deps.sh" build buildah debootstrap debian-archive-keyring
mkdir -p "$here"
[ -s "$here/base.tar" ] || { echo "images: the base, by debootstrap" && make_base; }
run_buildah inspect --type image "$image/base" >/dev/null 2>&1 || import_base

target build
target plugin
target agent
echo "images: with-plugin, over a Debian with Python and a library path as NVIDIA's images have one"
bud -q -t "$image/python" -f - "$root/docker" >/dev/null <<END
FROM $image/base
ENV LD_LIBRARY_PATH=/usr/local/nvidia/lib64
RUN apt-get update && apt-get install -y --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*
END
target with-plugin --build-arg "BASE=$image/python"
run_buildah rmi --prune >/dev/null
for name in plugin agent; do
  rm -f "$here/nccl-relay-$name.tar"
  run_buildah push -q "$image/$name" "docker-archive:$here/nccl-relay-$name.tar:nccl-relay/$name:latest"
done
run_buildah images --format '{{.Name}} {{.Size}}' --filter "reference=$image/*" | sort
