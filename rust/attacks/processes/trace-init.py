# threat: see, signal, ptrace other processes; take over the sandbox's own init
# attack: attaches to process 1 and the shepherd, reads and writes their memory, takes their descriptors
# escapes: without Call:ptrace NotDumpable
buffer = ctypes.create_string_buffer(16)
class Vector(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]
local = Vector(ctypes.cast(buffer, ctypes.c_void_p), 16)
for pid in (1, os.getppid()):
    with open('/proc/%d/stat' % pid) as file: address = int(file.read().rsplit(')', 1)[1].split()[23] or 0)
    # Nothing is at that address; that the kernel looks (EFAULT) tells that it would.
    remote = Vector(4096, 16)
    result = call(310, pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    if result not in (-errno.EPERM, -errno.ENOSYS): escaped('memory of process %d can be read: %s' % (pid, name(result)))
    if call(101, 0x4206, pid, None, None) >= 0: escaped('process %d is traced' % pid)
    descriptor = call(434, pid, 0)
    if descriptor >= 0:
        for number in range(4):
            if call(438, descriptor, number, 0) >= 0: escaped('a descriptor of process %d' % pid)
    try: os.open('/proc/%d/mem' % pid, os.O_RDWR); escaped('memory of process %d can be written' % pid)
    except OSError: pass
    if call(312, pid, os.getpid(), 1, 0, 0) >= 0: escaped('process %d can be compared' % pid)
contained('out of reach')
