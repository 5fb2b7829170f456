# threat: io_uring, bpf, perf_event_open, userfaultfd, keyctl, kexec, modules, reboot, open_by_handle_at, fanotify
# attack: opens files by handle, whatever is mounted where: the shocker
# escapes: without Call:open_by_handle_at
handle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128), 136)
mount = ctypes.c_int()
result = call(303, -100, b'/etc/passwd', handle, ctypes.byref(mount), 0)
if result >= 0: escaped('a handle of a file')
root = os.open('/', os.O_RDONLY)
for kind, number in ((1, 2), (1, 128), (0x81, 2)):
    asked = ctypes.create_string_buffer(struct.pack('IiQ', 8, kind, number), 136)
    if call(304, root, asked, 0) not in (-errno.EPERM, -errno.ENOSYS): escaped('the kernel looks for a handle')
contained(name(result))
