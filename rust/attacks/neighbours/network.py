# threat: another sandbox: its files, processes, network, shm, keys
# attack: connects to what its neighbour listens on
# escapes: without Network
for family, address in ((socket.AF_INET, ('127.0.0.1', @NEIGHBOUR@)), (socket.AF_INET6, ('::ffff:127.0.0.1', @NEIGHBOUR@)), (socket.AF_UNIX, '\0neighbour-@NEIGHBOUR@')):
    s = socket.socket(family); s.settimeout(2)
    if s.connect_ex(address) == 0: escaped('connected to %s' % (address,))
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
if s.connect_ex('\0neighbour-datagrams-@NEIGHBOUR@') == 0: escaped('connected to its datagrams')
contained('nobody answers')
