# threat: `..`, chroot, `/proc/PID/root`, fds and cwd of the helper, inherited fds
# attack: looks into the descriptors, roots and directories of init and of the shepherd above it
# escapes: without NotDumpable
for pid in {1, os.getppid()}:
    try:
        for entry in os.listdir('/proc/%d/fd' % pid): escaped('process %d has %s' % (pid, os.readlink('/proc/%d/fd/%s' % (pid, entry))))
    except OSError: pass
    for name_ in ('root', 'cwd'):
        try: escaped('%s of process %d has %s' % (name_, pid, os.listdir('/proc/%d/%s' % (pid, name_))))
        except OSError: pass
contained('closed')
