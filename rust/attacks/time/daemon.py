# threat: endless loop, ignoring SIGTERM, double fork, setsid, daemon holding stdout open
# attack: leaves a daemon, forked twice, in a session and with a name of its own, and waits for its time to run out
# ends: timed out
# timeout: 1
# afterwards: sleep 0.5; [ -z "$(find /tmp/beat -newermt '-0.3 seconds' 2>/dev/null)" ] && echo CONTAINED ended || echo ESCAPED the daemon goes on
# escapes: without Deadline
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        call(157, 15, b'kworker/0:1', 0, 0, 0)
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        while True:
            open('/tmp/beat', 'w').close()
            time.sleep(0.02)
            if os.fork(): os._exit(0)
    os._exit(0)
while True: time.sleep(1)
