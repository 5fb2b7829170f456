# threat: memory bomb, also by tmpfs, pipes and sockets
# attack: fills its heap, at most to twice the limit
# ends: killed
# escapes: without Memory
most, taken = 2 * @MEMORY@, 0
held = []
try:
    while taken < most: held.append(bytearray(b'x' * (1 << 20))); taken += 1 << 20
except MemoryError: pass
held.clear()
if taken >= most: escaped('%d MiB, allowed are %d' % (taken >> 20, @MEMORY@ >> 20))
contained('%d MiB' % (taken >> 20))
