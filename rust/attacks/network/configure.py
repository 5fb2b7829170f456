# threat: host loopback, egress, the host's own address, 169.254.169.254, abstract and path unix sockets
# attack: changes its network: interfaces, addresses, raw packets, a tunnel
# escapes: unconfined as root
import fcntl
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
request = bytearray(struct.pack('16sh14x', b'lo', 0) + bytes(8))
fcntl.ioctl(s, 0x8913, request, True)
try: fcntl.ioctl(s, 0x8914, request); escaped('flags of the loopback were set')
except OSError: pass
for family, kind, protocol in ((socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_INET, socket.SOCK_RAW, 255), (socket.AF_PACKET, socket.SOCK_RAW, 0x300)):
    try: socket.socket(family, kind, protocol); escaped('raw packets')
    except OSError: pass
try: os.open('/dev/net/tun', os.O_RDWR); escaped('a tunnel')
except OSError: pass
contained('it stays as it is')
