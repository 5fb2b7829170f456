# threat: `..`, chroot, `/proc/PID/root`, fds and cwd of the helper, inherited fds
# attack: looks among its descriptors for one that somebody outside opened, and goes on from there
# escapes: without Descriptors
root = os.stat('/')
for entry in os.listdir('/proc/self/fd'):
    number = int(entry)
    try: found, target = os.fstat(number), os.readlink('/proc/self/fd/' + entry)
    except OSError: continue
    if target.startswith('/proc/') and 'fd' in target: continue
    if stat.S_ISDIR(found.st_mode) and (found.st_dev, found.st_ino) != (root.st_dev, root.st_ino):
        escaped('descriptor %d is a directory outside: %s' % (number, os.listdir(number)[:8]))
    if stat.S_ISDIR(found.st_mode): escaped('descriptor %d is the root' % number)
    if target.startswith('/memfd') or stat.S_ISBLK(found.st_mode): escaped('descriptor %d is %s' % (number, target))
    if stat.S_ISREG(found.st_mode) and not os.path.exists(target): escaped('descriptor %d is %s' % (number, target))
contained('only what belongs here')
