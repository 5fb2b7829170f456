# threat: overwrite the helper or an interpreter through `/proc/self/exe`
# attack: opens the interpreter for writing, which only its being in use would prevent for now
# escapes: without ReadOnly DedicatedIds LandlockFiles as root
for path in (os.path.realpath('/proc/self/exe'), '/usr/bin/node', '/usr/bin/python3', '/bin/sh', '/usr/bin/perl'):
    if not os.path.exists(path): continue
    try: os.close(os.open(path, os.O_WRONLY)); escaped('%s can be written' % path)
    except OSError as error:
        if error.errno == errno.ETXTBSY: escaped('only being in use protects %s' % path)
contained('no interpreter can be opened')
