# threat: disk and inode fill in /, /tmp, /dev/shm, the workspace
# attack: fills files that have no name, holes that are filled later, and extended attributes
# ends: killed
# escapes: without DiskSize
most, taken, held = 2 * @DISK@, 0, []
try:
    while taken < most:
        file = os.open('/tmp', os.O_TMPFILE | os.O_RDWR); held.append(file)
        os.ftruncate(file, 1 << 40)
        for i in range(4): taken += os.pwrite(file, bytes(1 << 20), i << 30)
except OSError: pass
if taken >= most: escaped('%d MiB without a name' % (taken >> 20))
for file in held: os.close(file)
attributes = 0
try:
    open('/tmp/attributes', 'w').close()
    for i in range(4096): os.setxattr('/tmp/attributes', 'user.%d' % i, bytes(60000)); attributes += 60000
except OSError: pass
os.path.exists('/tmp/attributes') and os.unlink('/tmp/attributes')
if attributes >= @MEMORY@: escaped('%d MiB of attributes' % (attributes >> 20))
contained('%d MiB, %d KiB of attributes' % (taken >> 20, attributes >> 10))
