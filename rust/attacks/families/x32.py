# threat: AF_VSOCK, AF_ALG, AF_PACKET and other families; i386 calls by `int 0x80`; x32
# attack: uses numbers of x32, which mean the same calls and are not those that a list of calls names
# escapes: without Seccomp
for title, number, arguments in (('getpid', 39, ()), ('unshare', 272, (0x10000000,)), ('ptrace', 101, (0, 0, None, None)), ('io_uring_setup', 425, (1, None))):
    result = call(0x40000000 | number, *arguments)
    if result != -errno.ENOSYS: escaped('%s: %s' % (title, result))
# Where the kernel has no x32 it must be the filter that says so: it does for a number that no kernel has, too, instead of looking.
with open('/proc/self/status') as file: status = dict(line.split(':', 1) for line in file)
if int(status.get('Seccomp_filters', '2')) < 2: escaped('nothing stands before the kernel')
contained('there are no such calls')
