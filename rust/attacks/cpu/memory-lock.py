# threat: CPU hog, real-time priority, descriptor exhaustion
# attack: locks memory so that the host cannot reclaim it
# escapes: without Limit:Memlock
import mmap
area = mmap.mmap(-1, 1 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
address = ctypes.addressof(ctypes.c_char.from_buffer(area))
result = call(149, address, 1 << 20)
if result >= 0: escaped('a megabyte')
contained(name(result))
