# threat: host loopback, egress, the host's own address, 169.254.169.254, abstract and path unix sockets
# attack: connects to an abstract socket of the host
# escapes: without Network LandlockScopes
s = socket.socket(socket.AF_UNIX)
result = s.connect_ex('\0@HOST_ABSTRACT@')
if result == 0: escaped('connected')
contained(name(result))
