# threat: sysrq, core_pattern, modprobe, sysctl, kcore, kmsg, kallsyms, timers, slab and page tables
# attack: asks the kernel for its log by system call
# escapes: unconfined as root
size = call(103, 10, None, 0)
if size > 0: escaped('the log has %d bytes' % size)
buffer = ctypes.create_string_buffer(4096)
got = call(103, 3, buffer, 4096)
if got > 0: escaped('log: %r' % buffer.raw[:60])
contained(name(size))
