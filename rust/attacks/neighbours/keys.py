# threat: another sandbox: its files, processes, network, shm, keys
# attack: looks for keys of others in the lists of /proc
# escapes: unconfined
for path in ('/proc/keys', '/proc/key-users'):
    try:
        with open(path) as file: lines = file.read().splitlines()
    except OSError: continue
    if lines: escaped('%s: %s' % (path, lines[0]))
contained('none is listed')
