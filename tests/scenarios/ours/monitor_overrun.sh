# More events than the queue holds while dmhelper monitor is stopped: the loss is told, what changed meanwhile is found by
# a look at all devices, and it goes on.
# timeout: 180
disk 64M
mkdir /run/m
dmsetup create stays --table "0 8 linear $DISK 8"
dmsetup create goes --uuid TEST-goes --table "0 8 linear $DISK 16"
dmsetup create before --table "0 8 linear $DISK 24"
dmsetup create works --table "0 2048 linear $DISK 4096"
quiesce

dmhelper monitor --kernel --queue 64K >/run/m/text 2>/run/m/text.err &
text=$!
dmhelper monitor --kernel --json --queue 64K >/run/m/json 2>/run/m/json.err &
json=$!
dmhelper monitor --kernel --json >/run/m/all 2>/run/m/all.err &
all=$!
subscribed() { [ "$(awk '$2 == 15 && $4 == "00000001"' /proc/net/netlink | wc -l)" -ge 4 ]; } # udevd is one
wait_until 20 subscribed
sleep 0.5
first=$(</sys/kernel/uevent_seqnum)
kill -STOP "$text" "$json"
# Events of other devices take room in the queue as well.
for _ in $(seq 600); do echo change >"/sys/block/${DISK#/dev/}/uevent"; done
dmsetup remove goes
dmsetup rename before after
dmsetup create new --table "0 8 linear $DISK 32"
quiesce
assert_eq 1 "$(awk '$2 == 15 && $9 > 0' /proc/net/netlink | wc -l | sed 's/^2$/1/')" 'sockets that lost events'
kill -CONT "$text" "$json"
told() { grep -q '"source":"rescan"' /run/m/json && grep -q ' rescan ' /run/m/text; }
wait_until 20 told
last=$(</sys/kernel/uevent_seqnum)
dmsetup create later --table "0 8 linear $DISK 40"
quiesce
kill -TERM "$text" "$json" "$all"
wait_for_job "$text"
wait_for_job "$json"
wait_for_job "$all"
cat /run/m/text /run/m/text.err

said() { assert_eq 1 "$(grep -c -- "$2" "$1")" "lines like '$2'"; }
said /run/m/text ' rescan -      -            -       the queue overran: up to [0-9]* events lost$'
said /run/m/text ' rescan -      goes  .*disappeared$'
said /run/m/text ' rescan -      after .*renamed from before to after$'
said /run/m/text ' rescan -      new   .*appeared$'
said /run/m/text ' kernel change later .*activated'
assert_eq 0 "$(grep -c 'rescan.* \(stays\|works\|later\) ' /run/m/text || :)" 'what did not change'
said /run/m/json '"source":"rescan","action":null,.*"devno":null,.*"event":"overrun",.*"lost":[0-9]*}'
said /run/m/json '"source":"rescan",.*"name":"goes","uuid":"TEST-goes",.*"event":"disappeared"'

# What was lost is what was sent and did not come.
lost=$(sed -n 's/.*"event":"overrun".*"lost":\([0-9]*\)}/\1/p' /run/m/json)
rig_assertions=$((rig_assertions + 1))
if [ "$lost" -lt 100 ] || [ "$lost" -gt $((last - first)) ]; then fail "$lost lost of $((last - first)) events"; fi
assert_eq "dmhelper: monitor: $(grep -c '"source":"kernel"' /run/m/json) events, 0 datagrams dropped, 1 overrun, at most $lost lost" \
	"$(</run/m/json.err)" 'the last words'
assert_eq ', 0 overruns, at most 0 lost' "$(grep -o ', [0-9]* overruns.*' /run/m/all.err)" 'the default queue'
# Of the events of device-mapper devices, exactly those between are missing.
assert_eq "$(grep -c 'later' /run/m/all)" "$(grep -c '"source":"kernel".*later' /run/m/json)" 'events after the repair'
step 'the end'
