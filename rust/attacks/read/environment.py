# threat: read host files, credentials, /etc/shadow, the JVM's environment
# attack: looks for the service's environment in that of every process it can see, its own included
# escapes: without NotDumpable
for entry in ['self'] + [entry for entry in os.listdir('/proc') if entry.isdigit()]:
    try:
        with open('/proc/%s/environ' % entry, 'rb') as file: content = file.read()
    except OSError: continue
    variables = [v.split(b'=')[0].decode(errors='replace') for v in content.split(b'\0') if v]
    foreign = [v for v in variables if v.startswith(('E2B_ATTACK', 'E2BRIDGE_LEFT', 'CARGO', 'JAVA', 'SSH', 'SUDO'))]
    if foreign: escaped('process %s has %s' % (entry, foreign))
    if entry == '1' and content: escaped('of init: %r' % content[:100])
contained('no variable of the service')
