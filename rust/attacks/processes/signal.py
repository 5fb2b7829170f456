# threat: see, signal, ptrace other processes; take over the sandbox's own init
# attack: sends process 1 every signal there is, then looks for process ids of others by signalling them
# escapes: without Pid FreshProc Call:clone as root
import signal as signals
for number in range(1, 65):
    try: os.kill(1, number)
    except OSError: pass
    call(129, 1, number, (ctypes.c_int * 32)(number, 0, -1))
for pid in range(2, 4096):
    try: os.kill(pid, 0)
    except OSError as error:
        if error.errno == errno.EPERM: escaped('process %d exists and is of somebody else' % pid)
contained('nobody else can be signalled')
