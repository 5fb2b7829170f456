# threat: AF_VSOCK, AF_ALG, AF_PACKET and other families; i386 calls by `int 0x80`; x32
# attack: calls the kernel as an i386 program does, where other numbers mean other calls
# escapes: without Seccomp
import mmap
def work():
    code = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    # push rbx; mov eax, 20 (getpid of i386); int 0x80; pop rbx; ret
    code.write(bytes([0x53, 0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0x5b, 0xc3]))
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    return 42 if function() == os.getpid() else 43
status = in_child(work)
if status == 42: escaped('the kernel answered')
if status == -signal.SIGSYS or status == -31: contained('killed by SIGSYS')
contained('refused, %d' % status)
