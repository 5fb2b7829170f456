# threat: disk and inode fill in /, /tmp, /dev/shm, the workspace
# attack: makes empty files, directories and links, at most twice as many as are allowed
# escapes: without DiskInodes
made, most = 0, 2 * @INODES@
held = []
try:
    for place in ('/tmp', '/dev/shm', '/home/user', '/data'):
        os.makedirs(place + '/many', exist_ok=True)
        while made < most:
            path = '%s/many/%d' % (place, made)
            if made % 3 == 0: os.mkdir(path)
            elif made % 3 == 1: os.symlink('x' * 200, path)
            else: os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
            made += 1; held.append(path)
except OSError as error: why = error
for path in held:
    try: os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    except OSError: pass
if made >= most: escaped('%d inodes, allowed are @INODES@' % made)
contained('%d inodes' % made)
