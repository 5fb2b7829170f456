# threat: endless loop, ignoring SIGTERM, double fork, setsid, daemon holding stdout open
# attack: a shell that traps every signal and loops
# ends: timed out
# timeout: 1
# afterwards: sleep 0.5; [ -z "$(find /tmp/beat -newermt '-0.3 seconds' 2>/dev/null)" ] && echo CONTAINED ended || echo ESCAPED it goes on
# escapes: without Deadline
trap '' HUP INT QUIT TERM USR1 USR2 ALRM PIPE TSTP
setsid sh -c "trap '' TERM HUP; while :; do : >/tmp/beat; done" &
while :; do : >/tmp/beat; done
