# What another sandbox has, for attacks to look for: files, a port, abstract sockets, shared memory. Stays until it is killed.
import ctypes, os, socket, time
number = @NEIGHBOUR@
for place in ('/tmp', '/home/user', '/data', '/opt', '/usr/local', '/srv', '/var/tmp', '/dev/shm', '/run', '/etc', '/', '/root'):
    try:
        with open(place + '/neighbour-%d' % number, 'w') as file: file.write('secret of the neighbour')
    except OSError: pass
held = []
for family, kind, address in ((socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', number)),
                              (socket.AF_UNIX, socket.SOCK_STREAM, '\0neighbour-%d' % number),
                              (socket.AF_UNIX, socket.SOCK_DGRAM, '\0neighbour-datagrams-%d' % number)):
    try:
        s = socket.socket(family, kind); s.bind(address); held.append(s)
        if kind == socket.SOCK_STREAM: s.listen(64)
    except OSError: pass
c = ctypes.CDLL(None)
c.shmget(number, 4096, 0o1666); c.msgget(number, 0o1666); c.semget(number, 1, 0o1666)
print('ready', flush=True)
time.sleep(600)
