# threat: AF_VSOCK, AF_ALG, AF_PACKET and other families; i386 calls by `int 0x80`; x32
# attack: opens sockets of every family and of the rarer protocols of netlink
# escapes: without Call:socket
for family in range(0, 64):
    for kind in (1, 2, 3, 5):
        for protocol in ((0,) if family != 16 else range(0, 24)):
            if family == 1 or family in (2, 10) and kind != 3 or family == 16 and protocol == 0: continue
            descriptor = call(41, family, kind, protocol)
            if descriptor >= 0: escaped('family %d, type %d, protocol %d' % (family, kind, protocol))
pair = (ctypes.c_int * 2)()
for family in (30, 40, 38, 17, 16):
    if call(53, family, 1, 0, pair) >= 0: escaped('a pair of family %d' % family)
contained('four and no more')
