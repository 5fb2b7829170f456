# threat: memory bomb, also by tmpfs, pipes and sockets
# attack: fills segments of System V, which stay when their maker goes
# ends: killed
# escapes: without Memory
most, taken = 2 * @MEMORY@, 0
held = []
_libc.shmat.restype = ctypes.c_void_p
while taken < most:
    segment = _libc.shmget(0, 4 << 20, 0o1600)
    if segment < 0: break
    address = _libc.shmat(segment, None, 0)
    _libc.shmctl(segment, 0, None)
    if address in (None, ctypes.c_void_p(-1).value): break
    ctypes.memset(address, 1, 4 << 20); taken += 4 << 20
if taken >= most: escaped('%d MiB, allowed are %d' % (taken >> 20, @MEMORY@ >> 20))
contained('%d MiB' % (taken >> 20))
