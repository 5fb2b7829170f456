# threat: `..`, chroot, `/proc/PID/root`, fds and cwd of the helper, inherited fds
# attack: chroot into a directory, then up with a descriptor kept outside of it: the classic way out of a chroot
# escapes: without Capabilities Call:chroot
def work():
    try:
        top = os.open('/', os.O_RDONLY | os.O_DIRECTORY)
        os.makedirs('/tmp/jail', exist_ok=True)
        os.chroot('/tmp/jail')
        os.fchdir(top)
        for i in range(64): os.chdir('..')
        os.chroot('.')
        return 42
    except OSError: return 0
status = in_child(work)
if status == 42: escaped('the root was changed')
contained('chroot is refused')
