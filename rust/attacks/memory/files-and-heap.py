# threat: memory bomb, also by tmpfs, pipes and sockets
# attack: fills its files and its heap together
# ends: killed
# escapes: without Memory
most, taken = 2 * @MEMORY@, 0
held = []
try:
    file = open('/tmp/bomb', 'wb'); os.unlink('/tmp/bomb')
    while taken < @DISK@: taken += file.write(bytes(1 << 20)); file.flush()
except OSError: taken = @DISK@
try:
    while taken < most: held.append(bytearray(b'x' * (1 << 20))); taken += 1 << 20
except MemoryError: pass
held.clear()
if taken >= most: escaped('%d MiB, allowed are %d' % (taken >> 20, @MEMORY@ >> 20))
contained('%d MiB' % (taken >> 20))
