# threat: device nodes, mknod, set-uid files, file capabilities
# attack: makes character and block devices, memory and disks among them, wherever it can write
# escapes: without Call:mknod Call:mknodat
# escapes: unconfined as root
for place in ('/tmp', '/home/user', '/dev/shm', '/opt', os.getcwd()):
    for kind, number in ((stat.S_IFCHR, (0, 0)), (stat.S_IFCHR, (1, 1)), (stat.S_IFCHR, (1, 3)), (stat.S_IFBLK, (8, 0)), (stat.S_IFBLK, (259, 0)), (stat.S_IFBLK, (254, 0))):
        path = place + '/e2bridge-attack-node'
        try: os.mknod(path, kind | 0o666, os.makedev(*number))
        except OSError: continue
        os.unlink(path)
        escaped('%s of number %s in %s' % ('block device' if kind == stat.S_IFBLK else 'character device', number, place))
contained('no node was made')
