# threat: io_uring, bpf, perf_event_open, userfaultfd, keyctl, kexec, modules, reboot, open_by_handle_at, fanotify
# attack: counts events of the processor and of the kernel
# escapes: without Call:perf_event_open
for kind, config, flags in ((1, 0, 0x60), (0, 0, 0x60), (1, 0, 0), (2, 1, 0)):
    attributes = ctypes.create_string_buffer(struct.pack('IIQQQQQ', kind, 112, config, 0, 0, 0, flags | 1) + bytes(64), 112)
    for pid, cpu in ((0, -1), (-1, 0), (1, -1)):
        if call(298, attributes, pid, cpu, -1, 0) >= 0: escaped('event %d/%d' % (kind, config))
contained('refused')
