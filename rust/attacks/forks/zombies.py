# threat: fork bomb, threads, zombies
# attack: makes zombies that it never waits for, at most twice the limit of processes, and orphans that end
# timeout: 60
# escapes: without Processes
made = 0
try:
    while made < 2 * @PROCESSES@:
        if os.fork() == 0: os._exit(0)
        made += 1
except OSError: pass
if made > @PROCESSES@: escaped('%d zombies' % made)
def orphans():
    for i in range(@PROCESSES@):
        try:
            if os.fork() == 0:
                try:
                    if os.fork() == 0: os._exit(0)
                finally: os._exit(0)
        except OSError: pass
        try: os.wait()
        except OSError: pass
while True:
    try: os.wait()
    except OSError: break
orphans()
end, left = time.monotonic() + 5, 99
while left > 4 and time.monotonic() < end:
    left = 0
    for entry in os.listdir('/proc'):
        try:
            if entry.isdigit() and open('/proc/%s/stat' % entry).read().rsplit(')', 1)[1].split()[0] == 'Z': left += 1
        except OSError: pass
    time.sleep(0.02)
if left > 4: escaped('%d zombies of orphans are left' % left)
contained('%d zombies' % made)
