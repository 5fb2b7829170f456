# threat: memory bomb, also by tmpfs, pipes and sockets
# attack: maps /dev/zero shared, which is memory by another name
# ends: killed
# escapes: without Memory
most, taken = 2 * @MEMORY@, 0
import mmap
held = []
try:
    zero = os.open('/dev/zero', os.O_RDWR)
    while taken < most:
        part = mmap.mmap(zero, 4 << 20); held.append(part)
        for at in range(0, 4 << 20, 4096): part[at] = 1
        taken += 4 << 20
except (OSError, ValueError, MemoryError): pass
if taken >= most: escaped('%d MiB, allowed are %d' % (taken >> 20, @MEMORY@ >> 20))
contained('%d MiB' % (taken >> 20))
