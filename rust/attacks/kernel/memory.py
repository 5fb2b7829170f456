# threat: sysrq, core_pattern, modprobe, sysctl, kcore, kmsg, kallsyms, timers, slab and page tables
# attack: reads memory, logs, symbols, timers, slabs and page tables of the kernel
# escapes: unconfined as root
for path in ('/proc/kcore', '/proc/kmsg', '/dev/kmsg', '/dev/mem', '/dev/port', '/proc/timer_list', '/proc/slabinfo', '/proc/vmallocinfo', '/proc/pagetypeinfo', '/proc/kpagecount', '/proc/kpageflags', '/proc/kpagecgroup', '/proc/sched_debug', '/proc/sys/kernel/cap_last_cap/../../../kcore', '/sys/kernel/debug', '/sys/kernel/slab', '/sys/firmware'):
    try:
        if os.path.isdir(path): content = os.listdir(path)
        else: content = os.read(os.open(path, os.O_RDONLY | os.O_NONBLOCK), 16)
    except OSError: continue
    if content: escaped('%s: %r' % (path, content))
for path, column in (('/proc/kallsyms', 0), ('/proc/modules', 5), ('/proc/iomem', 0)):
    try:
        with open(path) as file: lines = file.read(4096).splitlines()
    except OSError: continue
    for line in lines[:-1]:
        fields = line.replace('-', ' ').split()
        address = fields[column if column < len(fields) else -1]
        try: found = int(address, 16)
        except ValueError: continue
        if found: escaped('%s shows an address: %s' % (path, line))
with open('/proc/self/pagemap', 'rb') as file:
    file.seek(id(file) // 4096 * 8)
    entry = struct.unpack('Q', file.read(8))[0]
    if entry & ((1 << 55) - 1): escaped('the page map shows a frame: %x' % entry)
contained('nothing of the kernel is to be seen')
