# threat: memory bomb, also by tmpfs, pipes and sockets
# attack: fills pipes, in as many processes as it may have
# ends: killed
# escapes: without Memory as root
most, taken = 2 * @MEMORY@, 0
import fcntl
readers = []
def fill_pipes(report):
    total, held = 0, []
    try:
        while total < most // 8:
            r, w = os.pipe(); held.append((r, w))
            try: fcntl.fcntl(w, 1031, 1 << 20)
            except OSError: pass
            os.set_blocking(w, False)
            try:
                while True: total += os.write(w, bytes(65536))
            except BlockingIOError: pass
    except OSError: pass
    os.write(report, struct.pack('Q', total)); time.sleep(6)
r, w = os.pipe()
children = []
for i in range(min(24, @PROCESSES@ // 2)):
    try: pid = os.fork()
    except OSError: break
    if pid == 0:
        try: fill_pipes(w)
        finally: os._exit(0)
    children.append(pid)
os.close(w)
while True:
    part = os.read(r, 8)
    if not part: break
    taken += struct.unpack('Q', part)[0]
    if taken >= most: break
for pid in children:
    try: os.kill(pid, 9)
    except OSError: pass
if taken >= most: escaped('%d MiB, allowed are %d' % (taken >> 20, @MEMORY@ >> 20))
contained('%d MiB' % (taken >> 20))
