# threat: io_uring, bpf, perf_event_open, userfaultfd, keyctl, kexec, modules, reboot, open_by_handle_at, fanotify
# attack: uses keys, which are not in a namespace
# escapes: without Call:add_key
result = call(250, 0, -3, 1)
if result not in (-errno.EPERM, -errno.ENOSYS): escaped('keyring of the session: %s' % name(result))
for ring in (-1, -2, -3, -4, -5):
    if call(248, b'user', b'e2bridge-attack', b'x', 1, ring) >= 0: escaped('a key in %d' % ring)
    if call(249, b'user', b'e2bridge-attack', None, ring) not in (-errno.EPERM, -errno.ENOSYS): escaped('keys can be asked for')
contained(name(result))
