# threat: memory bomb, also by tmpfs, pipes and sockets
# attack: lets datagrams pile up in sockets that nobody reads, in as many processes as it may have
# ends: killed
# ends: timed out
# escapes: without Memory as root
import resource
most, taken = 2 * @MEMORY@, 0
def pile_up():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held, sender = [], socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        while len(held) < 2000:
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); held.append(s)
            try: s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
            except OSError: pass
            s.bind(('127.0.0.1', 0))
            for i in range(8): sender.sendto(bytes(60000), s.getsockname())
    except OSError: pass
    time.sleep(6)
children = []
for i in range(min(16, @PROCESSES@ // 2)):
    try: pid = os.fork()
    except OSError: break
    if pid == 0:
        try: pile_up()
        finally: os._exit(0)
    children.append(pid)
end = time.monotonic() + 5
while time.monotonic() < end and taken < most:
    time.sleep(0.1)
    with open('/proc/net/udp') as file: taken = sum(int(line.split()[4].split(':')[1], 16) for line in file.readlines()[1:])
for pid in children:
    try: os.kill(pid, 9)
    except OSError: pass
if taken >= most: escaped('%d MiB in datagrams' % (taken >> 20))
contained('%d MiB' % (taken >> 20))
