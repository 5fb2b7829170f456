# threat: io_uring, bpf, perf_event_open, userfaultfd, keyctl, kexec, modules, reboot, open_by_handle_at, fanotify
# attack: a ring of requests, which pass by the filter of calls
# escapes: without Call:io_uring_setup
result = call(425, 4, ctypes.create_string_buffer(128))
if result >= 0: escaped('a ring')
for number in (426, 427):
    if call(number, 0, 0, None, 0, None, 0) not in (-errno.EPERM, -errno.ENOSYS): escaped('call %d' % number)
contained(name(result))
