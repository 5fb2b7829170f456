# threat: TIOCSTI, TIOCLINUX, clock, hostname
# attack: opens the service's terminal and types into it
# escapes: without Session
import fcntl
for path in ('/dev/tty', '/dev/console', '/dev/tty0', '/dev/pts/0', '/dev/ptmx', '/proc/self/fd/0', '/proc/self/fd/1', '/proc/self/fd/2'):
    try: descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError: continue
    if os.isatty(descriptor): escaped('%s is a terminal' % path)
with open('/proc/self/stat') as file: fields = file.read().rsplit(')', 1)[1].split()
if fields[4] != '0': escaped('the session has terminal %s' % fields[4])
contained('there is no terminal')
