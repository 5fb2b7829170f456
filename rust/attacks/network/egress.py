# threat: host loopback, egress, the host's own address, 169.254.169.254, abstract and path unix sockets
# attack: asks for a way to the world, to the cloud's metadata and to private networks; no packet is sent
# escapes: without Network
for address in ('169.254.169.254', '1.1.1.1', '8.8.8.8', '192.0.2.1', '10.0.0.1', '172.17.0.1', '192.168.0.1', '100.100.100.200', '@HOST_ADDRESS@', '255.255.255.255', '224.0.0.251'):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    result = s.connect_ex((address, 53))
    if result == 0: escaped('there is a way to %s from %s' % (address, s.getsockname()[0]))
for address in ('2606:4700:4700::1111', 'fd00:ec2::254', 'fe80::1%lo'):
    try:
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        if s.connect_ex((address, 53)) == 0: escaped('there is a way to %s' % address)
    except OSError: pass
with open('/etc/resolv.conf') as file:
    if 'nameserver' in file.read(): escaped('name servers of the host are known')
contained('there is no route')
