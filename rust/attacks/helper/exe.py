# threat: overwrite the helper or an interpreter through `/proc/self/exe`
# attack: opens the program of process 1, of the shepherd and of itself, to write to it when it no longer runs
# escapes: without NotDumpable LandlockFiles
import glob
for path in ['/proc/1/exe', '/proc/%d/exe' % os.getppid()] + glob.glob('/proc/[0-9]*/exe'):
    if path.split('/')[2] == str(os.getpid()): continue
    try: os.readlink(path)
    except OSError: continue
    try:
        with open(path, 'rb') as file: head = file.read(4)
    except OSError: continue
    target = os.readlink(path)
    if not os.path.exists(target): escaped('%s is %s, %r' % (path, target, head))
for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND):
    try: os.open('/proc/self/exe', flags); escaped('its own interpreter can be written')
    except OSError as error:
        if error.errno == errno.ETXTBSY: escaped('only being in use protects the interpreter')
contained('no program can be opened')
