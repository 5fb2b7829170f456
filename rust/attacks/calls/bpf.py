# threat: io_uring, bpf, perf_event_open, userfaultfd, keyctl, kexec, modules, reboot, open_by_handle_at, fanotify
# attack: a map, a program, an object by its path and by its number: bpf
# escapes: without Call:bpf
attributes = ctypes.create_string_buffer(struct.pack('IIII', 2, 4, 4, 1) + bytes(112), 128)
for command in (0, 5, 7, 11, 12, 18, 32, 36):
    result = call(321, command, attributes, 128)
    if result not in (-errno.EPERM, -errno.ENOSYS): escaped('command %d: %s' % (command, name(result)))
# Where the host keeps bpf from ordinary users, one command still tells whether the kernel is asked: a size that it refuses first.
result = call(321, 0, attributes, 1 << 20)
if result not in (-errno.EPERM, -errno.ENOSYS): escaped('the kernel looks: %s' % name(result))
contained(name(result))
