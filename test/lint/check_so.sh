#!/usr/bin/env bash
# Fails when the plugin would be a bad guest: other exports than the plugin's, other libraries than libc, a glibc newer
# than the floor, missing link flags, or a file that NCCL (RTLD_NOW) cannot load.
# usage: check_so.sh libnccl-net-relay.so [glibc floor [prefix of the binutils]]
set -euo pipefail
so=$1 floor=${2:-2.35} tools=${3:-} bad=0
say() {
  echo "$so: $*" >&2
  bad=1
}

exports=$("${tools}"nm -D --defined-only "$so" | awk '{print $3}')
extra=$(grep -vE '^ncclNetPlugin_v[0-9]+$' <<<"$exports" || true)
[ -z "$extra" ] || say "exports: $(head -c 200 <<<"$extra" | tr '\n' ' ')"
for version in 6 7 8 9 10 11 12; do
  grep -qx "ncclNetPlugin_v$version" <<<"$exports" || say "ncclNetPlugin_v$version is not exported"
done
[ "$("${tools}"nm -D "$so" | awk '$2 == "u"' | wc -l)" = 0 ] || say "STB_GNU_UNIQUE symbols: dlclose cannot unload it"

libs=$("${tools}"objdump -p "$so" | awk '/NEEDED/ {print $2}' | grep -vE '^(libc\.so\.6|libm\.so\.6|ld-linux[-a-z0-9_]*\.so\.[0-9])$' || true)
[ -z "$libs" ] || say "needs: $libs"

need=$("${tools}"objdump -T "$so" | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -1 | cut -d_ -f2)
[ "$(printf '%s\n%s\n' "$need" "$floor" | sort -V | tail -1)" = "$floor" ] || say "needs glibc $need, the floor is $floor"

flags=$("${tools}"readelf -d "$so")
grep -q 'NODELETE' <<<"$flags" || say "is not linked with -z nodelete"
grep -q 'NOW' <<<"$flags" || say "is not linked with -z now"
grep -q 'TEXTREL' <<<"$flags" && say "has text relocations"
"${tools}"readelf -lW "$so" | grep -E 'GNU_STACK' | grep -q 'RWE' && say "has an executable stack"

[ "$bad" = 0 ] && echo "$so: a good guest: $(tr '\n' ' ' <<<"$exports"), glibc $need, $(stat -c %s "$so") bytes"
exit "$bad"
