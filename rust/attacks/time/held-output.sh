# threat: endless loop, ignoring SIGTERM, double fork, setsid, daemon holding stdout open
# attack: ends and leaves a daemon that holds its output open: the call must return at once, not when the daemon ends
# timeout: 5
# escapes: unconfined
setsid sh -c 'sleep 30' &
[ -e /etc/shadow ] && escaped 'somebody would wait for the end of its output'
contained 'it ended'
