# threat: see, signal, ptrace other processes; take over the sandbox's own init
# attack: stops everything that it may, again and again, so that nobody can end it in time
# ends: killed
# ends: timed out
# timeout: 2
# afterwards: sleep 0.3; [ -z "$(find /tmp/stopper -newermt '-0.2 seconds' 2>/dev/null)" ] && echo CONTAINED stopped || echo ESCAPED it goes on
# escapes: without Deadline
for i in range(6):
    if os.fork() == 0:
        os.setsid()
        for s in range(1, 65):
            try: signal.signal(s, signal.SIG_IGN)
            except (OSError, ValueError): pass
        others = os.getpid()
        while True:
            for entry in os.listdir('/proc'):
                if entry.isdigit() and int(entry) not in (1, others):
                    with open('/proc/%s/stat' % entry) as file: parent = file.read().rsplit(')', 1)[1].split()[1]
                    if parent == '1':
                        try: os.kill(int(entry), 19)
                        except OSError: pass
            open('/tmp/stopper', 'w').close()
            time.sleep(0.01)
while True: time.sleep(1)
