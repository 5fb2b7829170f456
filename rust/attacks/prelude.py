import ctypes, errno, os, signal, socket, stat, struct, sys, time
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
def call(number, *arguments):
    """A system call: its result, or minus the error number."""
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    ctypes.set_errno(0)
    result = _libc.syscall(ctypes.c_long(number), *given)
    return result if result != -1 else -ctypes.get_errno()
def name(error): return errno.errorcode.get(abs(error), str(error))
def _verdict(line):
    sys.stdout.write('\n' + line.replace('\n', ' ')[:400] + '\n'); sys.stdout.flush(); raise SystemExit(0)
def contained(why): _verdict('CONTAINED ' + str(why))
def escaped(evidence): _verdict('ESCAPED ' + str(evidence))
def in_child(work, seconds=10):
    """Runs it in a child; its exit status, or minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        try: os._exit(work() or 0)
        except BaseException: os._exit(99)
    end = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done: return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.kill(pid, 9); os.waitpid(pid, 0); return -9
        time.sleep(0.005)
