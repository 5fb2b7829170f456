# threat: io_uring, bpf, perf_event_open, userfaultfd, keyctl, kexec, modules, reboot, open_by_handle_at, fanotify
# attack: weakens its own layout by personality
# escapes: without Call:personality
for persona in (0x0400000, 0x0800000, 0x0100000, 0x0200000, 0x8000000):
    if in_child(lambda: 42 if call(135, persona) >= 0 else 0) == 42: escaped('personality %#x' % persona)
contained('refused')
