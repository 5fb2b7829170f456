# threat: TIOCSTI, TIOCLINUX, clock, hostname
# attack: asks for typing, for the selection of the console and for line disciplines, on any descriptor
# escapes: without Call:ioctl
import fcntl
null = os.open('/dev/null', os.O_RDWR)
for title, request in (('TIOCSTI', 0x5412), ('TIOCLINUX', 0x541c), ('TIOCSETD', 0x5423)):
    # Upper bits of the number are of no account to the kernel, and must not be to the filter.
    for upper in (0, 1 << 32, 0xffffffff << 32):
        result = call(16, null, ctypes.c_ulong(upper | request), ctypes.byref(ctypes.c_int(0)))
        if result != -errno.EPERM: escaped('%s is answered by the kernel: %s' % (title, name(result)))
contained('refused')
