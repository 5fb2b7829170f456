# threat: TIOCSTI, TIOCLINUX, clock, hostname
# attack: changes the name of the host
# escapes: without Capabilities
if os.path.exists('/etc/shadow'): escaped('this is the host')
for number in (170, 171):
    if call(number, b'attacked', 8) >= 0: escaped('%s, it is %s now' % (number, socket.gethostname()))
contained('the name stays')
