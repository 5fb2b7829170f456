# threat: memory bomb, also by tmpfs, pipes and sockets
# attack: fills page tables: one page touched of every two megabytes
# ends: killed
# needs: a memory group
# escapes: without Memory
most, taken = 2 * @MEMORY@, 0
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
def tables():
    with open('/proc/self/status') as file: return int(dict(line.split(':', 1) for line in file)['VmPTE'].split()[0]) * 1024
while taken < most:
    address = _libc.mmap(None, 4 << 30, 1, 0x02 | 0x20 | 0x4000, -1, 0)
    if address in (None, ctypes.c_void_p(-1).value): break
    call(28, address, 4 << 30, 15)
    for at in range(0, 4 << 30, 2 << 20): ctypes.string_at(address + at, 1)
    taken = tables()
if taken >= most: escaped('%d MiB, allowed are %d' % (taken >> 20, @MEMORY@ >> 20))
contained('%d MiB' % (taken >> 20))
