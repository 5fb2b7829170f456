# threat: memory bomb, also by tmpfs, pipes and sockets
# attack: grows downwards like a stack, by mappings that grow when touched
# ends: killed
# escapes: without Memory
most, taken = 2 * @MEMORY@, 0
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
while taken < most:
    address = _libc.mmap(None, 4 << 20, 3, 0x02 | 0x20 | 0x100, -1, 0)
    if address in (None, ctypes.c_void_p(-1).value): break
    ctypes.memset(address, 1, 4 << 20); taken += 4 << 20
if taken >= most: escaped('%d MiB, allowed are %d' % (taken >> 20, @MEMORY@ >> 20))
contained('%d MiB' % (taken >> 20))
