#!/bin/bash
# host.sh NAME: process 1 of a host, in namespaces of its own. Says its process id as the machine knows it, then keeps them until
# its input ends.
set -eu
read -r pid _ </proc/self/stat # still the machine's /proc
echo "$1" >/proc/sys/kernel/hostname
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tmpfs none /run
mount -t tmpfs none /dev/shm
mount -t tmpfs none /dev/infiniband
for scope in all default; do echo 0 >/proc/sys/net/ipv6/conf/$scope/accept_dad; done
echo "$pid"
# Meanwhile bash collects what dead parents have left.
while read -r _; do :; done
