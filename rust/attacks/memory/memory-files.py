# threat: memory bomb, also by tmpfs, pipes and sockets
# attack: fills memory files, which belong to no process
# ends: killed
# escapes: without Memory
most, taken = 2 * @MEMORY@, 0
held = []
try:
    while taken < most:
        file = os.memfd_create('bomb'); held.append(file)
        for i in range(8): taken += os.write(file, bytes(1 << 20))
except (OSError, MemoryError): pass
if taken >= most: escaped('%d MiB, allowed are %d' % (taken >> 20, @MEMORY@ >> 20))
contained('%d MiB' % (taken >> 20))
