# threat: endless loop, ignoring SIGTERM, double fork, setsid, daemon holding stdout open
# attack: ignores every signal and never ends
# ends: timed out
# timeout: 1
# afterwards: sleep 0.5; [ -z "$(find /tmp/beat -newermt '-0.3 seconds' 2>/dev/null)" ] && echo CONTAINED ended || echo ESCAPED it goes on
# escapes: without Deadline
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True:
    open('/tmp/beat', 'w').close()
    time.sleep(0.02)
