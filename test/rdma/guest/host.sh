#!/bin/bash
# host.sh NAME: process 1 of a host, in namespaces of its own. Says its process id as the machine knows it, then keeps them until
# its input ends.
set -eu
read -r pid _ </proc/self/stat # still the machine's /proc
hostname "$1"
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tmpfs none /run
mount -t tmpfs none /dev/shm
mount -t tmpfs none /dev/infiniband
echo 0 | tee /proc/sys/net/ipv6/conf/{all,default}/accept_dad >/dev/null
echo "$pid"
# Meanwhile bash collects what dead parents have left.
while read -r _; do :; done
