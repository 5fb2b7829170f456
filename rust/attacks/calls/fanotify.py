# threat: io_uring, bpf, perf_event_open, userfaultfd, keyctl, kexec, modules, reboot, open_by_handle_at, fanotify
# attack: watches all of a file system
# escapes: without Call:fanotify_init
for flags in (0, 0x200, 0x200 | 0x400, 0x4, 0x8):
    result = call(300, flags, 0)
    if result >= 0: escaped('a group with %#x' % flags)
contained(name(result))
