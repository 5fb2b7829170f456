# threat: host loopback, egress, the host's own address, 169.254.169.254, abstract and path unix sockets
# attack: connects to what the host listens on, by loopback, by its own address and by every other way to write them
# escapes: without Network
for family, address in ((socket.AF_INET, '127.0.0.1'), (socket.AF_INET, '@HOST_ADDRESS@'), (socket.AF_INET, '0.0.0.0'), (socket.AF_INET, '127.8.8.8'),
                        (socket.AF_INET6, '::1'), (socket.AF_INET6, '::ffff:127.0.0.1'), (socket.AF_INET6, '::ffff:@HOST_ADDRESS@'), (socket.AF_INET6, '::')):
    try: s = socket.socket(family, socket.SOCK_STREAM)
    except OSError: continue
    s.settimeout(2)
    result = s.connect_ex((address, @HOST_PORT@)); s.close()
    if result == 0: escaped('connected to %s' % address)
contained('nobody answers')
