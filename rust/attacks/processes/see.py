# threat: see, signal, ptrace other processes; take over the sandbox's own init
# attack: lists processes, looking for any that is not of this sandbox
# escapes: without FreshProc
own = os.stat('/proc/self').st_uid
for entry in os.listdir('/proc'):
    if not entry.isdigit(): continue
    try:
        with open('/proc/%s/status' % entry) as file: status = dict(line.split(':', 1) for line in file)
        with open('/proc/%s/cmdline' % entry, 'rb') as file: line = file.read(200)
    except OSError: continue
    if b'neighbour' in line: escaped('process %s of the neighbour: %r' % (entry, line[:60]))
    if status['Uid'].split()[0] != str(os.getuid()): escaped('process %s, %s, of user %s' % (entry, status['Name'].strip(), status['Uid'].split()[0]))
    if entry == '1' and status['Name'].strip() != 'e2b-init': escaped('process 1 is %s' % status['Name'].strip())
contained('only processes of this sandbox')
