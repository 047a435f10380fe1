#!/usr/bin/env bash
# The lab keeps its promises: environment, statuses, deadlines, paths, faults, cleaning up.
# Usage: lab_test.sh NCCL_RELAY_BINARY
# shellcheck disable=SC2016  # the ranks expand what is in single quotes
set -u
relay=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

# check NAME EXPECTED ACTUAL
check() {
  if [[ $2 == "$3" ]]; then
    echo "ok: $1"
  else
    echo "FAILED: $1: expected '$2', got '$3'"
    failures=$((failures + 1))
  fi
}

lab() { timeout 60 "$relay" lab "$@"; }

if ! reason=$(lab run chain:2 --agents none -- true 2>&1); then
  # As the lab says it where rights are missing.
  if [[ ! $reason =~ "may not make namespaces"|"run as root" || -n ${CI:-} ]]; then
    echo "FAILED: $reason"
    exit 1
  fi
  echo "skipped: $reason"
  exit 77
fi

facts='echo $RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_WORLD_SIZE $MASTER_ADDR $NCCL_HOSTID $NCCL_SOCKET_IFNAME $(hostname)'
check "ranks know their place" \
  "A.0| 2/4 0/2 10.88.0.3 A =ctl A;A.1| 3/4 1/2 10.88.0.3 A =ctl A;C.0| 0/4 0/2 10.88.0.3 C =ctl C;C.1| 1/4 1/2 10.88.0.3 C =ctl C;" \
  "$(lab run chain:3 --agents none --ranks C,A --ranks-per-node 2 -- sh -c "$facts" | sort | tr '\n' ';')"

check "a node shows its own interfaces" "A| ab;A| ctl;A| lo;B| ba;B| ctl;B| lo;" \
  "$(lab run chain:2 -- ls /sys/class/net | sort | tr '\n' ';')"

check "standard error stays apart" "" "$(lab run chain:2 -- sh -c 'echo x >&2' 2>"$scratch/err")"
check "standard error is prefixed" "A| x;B| x;" "$(sort "$scratch/err" | tr '\n' ';')"

lab run chain:3 --grace 0.2 -- sh -c '[ $RANK = 1 ] && exit 7; sleep 50' 2>"$scratch/err"
check "the first failure is the status" 7 $?
lab run chain:2 --timeout 0.3 -- sh -c '[ $RANK = 1 ] || sleep 50' 2>"$scratch/err"
check "the deadline is status 124" 124 $?
check "the deadline names who was running" "lab: the deadline of 0.3 s passed; still running: rank 0 (A)" "$(head -1 "$scratch/err")"
lab run nowhere:3 -- true 2>/dev/null
check "the lab's own failure is status 125" 125 $?

# An ip(8) that hangs once the ranks run.
mkdir "$scratch/slow"
printf '#!/bin/sh\n[ ! -e %s/hang ] || exec sleep 50\nexec %s "$@"\n' "$scratch" "$(PATH=$PATH:/usr/sbin:/sbin command -v ip)" >"$scratch/slow/ip"
chmod +x "$scratch/slow/ip"
began=$SECONDS
PATH=$scratch/slow:$PATH lab run chain:2 --agents none --cut A-B@300ms --timeout 2 --grace 1 -- \
  sh -c "touch $scratch/hang; sleep 50" 2>"$scratch/err"
check "a fault that hangs does not hold up the deadline" 124 $?
check "it is over in time" yes "$([[ $((SECONDS - began)) -lt 15 ]] && echo yes)"
check "a fault that hangs is told" yes "$(grep -q 'cut A-B@300ms failed: .*did not end in time' "$scratch/err" && echo yes)"
rm "$scratch/hang"

forwarded() { sed -n "s/.*\"$2\": {\"ip_forwarded\": \([0-9]*\).*/\1/p" "$1"; }
lab run chain:3 --control routes --counters-json "$scratch/routes" -- bash -c '[ $RANK = 0 ] || exit 0; echo x >/dev/udp/10.99.0.3/9'
check "routes are forwarded along the fabric" yes "$([[ $(forwarded "$scratch/routes" B) -ge 1 ]] && echo yes)"
lab run chain:3 --counters-json "$scratch/lan" -- bash -c '[ $RANK = 0 ] || exit 0; echo x >/dev/udp/10.88.0.3/9'
check "the LAN is not forwarded by nodes" 0 "$(forwarded "$scratch/lan" B)"
lab run chain:3 --control none -- bash -c '[ $RANK = 0 ] || exit 0; echo x >/dev/udp/10.77.0.6/9' 2>"$scratch/err"
check "without control only neighbours talk" yes "$(grep -q 'Network is unreachable' "$scratch/err" && echo yes)"

check "a cut link is down at both ends" "A| down;B| down;" \
  "$(lab run chain:2 --cut A-B@50ms -- sh -c 'sleep 0.4; cat /sys/class/net/[ab][ab]/operstate' 2>/dev/null | sort | tr '\n' ';')"
check "a healed link has its addresses again, the link-local one too" "A| ab UP fe80::77:0:1/64;B| ba UP fe80::77:0:2/64;" \
  "$(lab run chain:2 --addresses link-local --cut A-B@20ms --heal A-B@150ms -- \
    sh -c 'sleep 0.5; ip -br addr show dev $(ls /sys/class/net | grep [ab][ab]) | sed "s/@[^ ]*//"' 2>"$scratch/err" |
    sed -E 's/ +/ /g; s/(UP).*(fe80::77:[^ ]*).*/\1 \2/' | sort | tr '\n' ';')"
check "faults are told in the order of their times" "lab: cut A-B@20ms;lab: heal A-B@150ms;" "$(tr '\n' ';' <"$scratch/err")"
check "a healed link has its routes again" "A| 10.99.0.3 via 10.77.0.2 dev ab src 10.99.0.1;" \
  "$(lab run chain:3 --control routes --heal A-B@100ms --cut A/ab@20ms -- \
    sh -c 'sleep 0.4; ip route show 10.99.0.3 2>/dev/null' 2>/dev/null | sed 's/ *$//' | grep '^A' | tr '\n' ';')"
queues='sleep 0.4; tc qdisc show dev $(ls /sys/class/net | grep [ab][ab]) | cut -d" " -f2,8'
check "a link is slowed one way, and dropped and healed the other" "A| tbf 10Mbit;B| noqueue;" \
  "$(lab run chain:2 --slow 'A>B=0.1%@10ms' --drop 'B>A@10ms' --heal 'B>A@100ms' -- sh -c "$queues" 2>/dev/null |
    sed 's/ *$//' | sort | tr '\n' ';')"
check "a rate may be of one direction" "A| tbf 100Mbit;B| tbf 1Gbit;" \
  "$(lab run chain:2 --rate 'A>B=100mbit' --rate 1gbit -- sh -c "$queues" 2>/dev/null | sort | tr '\n' ';')"
check "the MTU of one end changes" "A| 1400;B| 1500;" \
  "$(lab run chain:2 --mtu-at 'A>B=1400@10ms' -- sh -c 'sleep 0.2; cat /sys/class/net/[ab][ab]/mtu' 2>/dev/null | sort | tr '\n' ';')"
check "a stopped node goes on when it is told to" "A| no;B| yes;" \
  "$(lab run chain:2 --stop B@100ms --cont B@1300ms -- bash -c 'for _ in {1..8}; do now=${EPOCHREALTIME/./}
    [ $((now - ${last:-$now})) -gt 900000 ] && slept=yes; last=$now; sleep 0.05; done; echo ${slept:-no}' 2>/dev/null |
    sort | tr '\n' ';')"
check "a fault that did not come is told" "lab: kill B@30s did not come: the run was over" \
  "$(lab run chain:2 --agents none --kill B@30s -- true 2>&1)"
check "a fault at no link is answered with those there are" 'lab: --cut A-C@1s: "A-C" names no link; there are A-B B-C' \
  "$(lab run chain:3 --cut A-C@1s -- true 2>&1)"
check "nodes take settings of the kernel" "A| 1;B| 1;" \
  "$(lab run chain:2 --sysctl net.ipv4.conf.all.rp_filter=1 -- cat /proc/sys/net/ipv4/conf/all/rp_filter | sort | tr '\n' ';')"
check "a random graph has the links asked for" 12 "$(lab fabric random:9:12:5 | grep -c ends)"
lab run chain:2 --kill B@50ms --grace 0.1 -- sleep 50 2>/dev/null
check "a killed node's rank ended by signal 9" 137 $?

marker=$((RANDOM + 100000))
exec 3>&2 2>/dev/null  # the shell would report the kill
"$relay" lab run chain:3 -- sh -c "setsid sleep $marker & sleep $marker" &
victim=$!
for _ in $(seq 100); do
  [[ $(pgrep -fc "^sleep $marker") == 6 ]] && break
  sleep 0.05
done
check "every rank and its child run" 6 "$(pgrep -fc "^sleep $marker")"
kill -KILL $victim
wait $victim
exec 2>&3 3>&-
for _ in $(seq 100); do pgrep -f "^sleep $marker" >/dev/null || break; sleep 0.05; done
check "nothing survives a killed lab" 0 "$(pgrep -fc "^sleep $marker")"
lab run chain:2 -- sh -c "setsid sleep $marker & exit 0"
check "nothing survives a run" 0 "$(pgrep -fc "^sleep $marker")"

for i in 1 2 3 4; do
  lab run chain:2 -- sh -c 'ip -br link | wc -l' >"$scratch/parallel-$i" 2>&1 &
done
wait
check "labs do not see each other" "A| 3;B| 3;" "$(cat "$scratch"/parallel-* | sort -u | tr '\n' ';')"

# A process that has entered the lab's process namespace cannot look for leaks at its end: the leak checker's tracer is born
# inside, does not find its parent there, and the parent waits for it for ever.
export ASAN_OPTIONS=detect_leaks=0
name="test-$marker"
lab up chain:2 --agents none --name "$name" >/dev/null
check "a lab that is up can be entered" "B 10.88.0.1" "$(lab exec --name "$name" B -- sh -c 'echo $(hostname) $MASTER_ADDR')"
lab exec --name "$name" A -- sh -c 'exit 9'
check "exec hands on the status" 9 $?
lab up chain:2 --agents none --name "$name" 2>/dev/null
check "a name is taken once" 125 $?
check "a lab that is up is listed" 1 "$(lab status | grep -c "^$name:")"
lab down --name "$name"
check "down is the end" 0 "$(lab status | grep -c "^$name:")"

exit $((failures > 0))
