# threat: io_uring, bpf, perf_event_open, userfaultfd, keyctl, kexec, modules, reboot, open_by_handle_at, fanotify
# attack: moves memory between nodes, and hides some from the kernel itself
# escapes: without Call:mbind
result = call(237, 0, 0, 0, None, 0, 0)
if result not in (-errno.EPERM, -errno.ENOSYS): escaped('mbind: %s' % name(result))
if call(447, 0) >= 0: escaped('memfd_secret')
result = call(279, 0, 0, None, None, None, 0)
if result not in (-errno.EPERM, -errno.ENOSYS): escaped('move_pages: %s' % name(result))
contained(name(result))
