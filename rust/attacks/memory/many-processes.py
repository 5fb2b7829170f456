# threat: memory bomb, also by tmpfs, pipes and sockets
# attack: fills the heaps of many processes, each within the limit of one
# ends: killed
# escapes: without Memory
most, taken = 2 * @MEMORY@, 0
r, w = os.pipe()
children, part = [], @MEMORY@ // 3
for i in range(9):
    try: pid = os.fork()
    except OSError: break
    if pid == 0:
        try:
            held = bytearray(b'x' * part)
            os.write(w, b'x'); time.sleep(4)
        finally: os._exit(0)
    children.append(pid)
os.close(w)
end = time.monotonic() + 3
os.set_blocking(r, False)
while time.monotonic() < end and taken < most:
    time.sleep(0.2)
    taken = 0
    for pid in children:
        try:
            with open('/proc/%d/statm' % pid) as file: taken += int(file.read().split()[1]) * 4096
        except OSError: pass
for pid in children:
    try: os.kill(pid, 9)
    except OSError: pass
if taken >= most: escaped('%d MiB, allowed are %d' % (taken >> 20, @MEMORY@ >> 20))
contained('%d MiB' % (taken >> 20))
