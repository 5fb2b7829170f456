# threat: io_uring, bpf, perf_event_open, userfaultfd, keyctl, kexec, modules, reboot, open_by_handle_at, fanotify
# attack: handles page faults, to hold the kernel where it copies
# escapes: without Call:userfaultfd
for flags in (0, 1, 0o2000000 | 1):
    result = call(323, flags)
    if result >= 0: escaped('page faults can be handled')
contained(name(result))
