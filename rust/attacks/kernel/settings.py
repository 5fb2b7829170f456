# threat: sysrq, core_pattern, modprobe, sysctl, kcore, kmsg, kallsyms, timers, slab and page tables
# attack: opens for writing every file below /proc that is not of a process: core_pattern, modprobe, sysrq, irq and all the rest
# escapes: without DedicatedIds LandlockFiles as root
# escapes: without Capabilities LandlockFiles
count = 0
for entry in os.listdir('/proc'):
    if entry.isdigit() or entry in ('self', 'thread-self'): continue
    for place, directories, files in os.walk('/proc/' + entry) if os.path.isdir('/proc/' + entry) else [('/proc', [], [entry])]:
        for file in files:
            path = os.path.join(place, file); count += 1
            try: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            except OSError: continue
            escaped('%s was opened for writing' % path)
contained('none of %d' % count)
