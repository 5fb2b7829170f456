# threat: another sandbox: its files, processes, network, shm, keys
# attack: looks for processes of its neighbour, and into them
# escapes: without FreshProc
for entry in os.listdir('/proc'):
    if not entry.isdigit() or int(entry) in (os.getpid(), os.getppid()): continue
    try:
        with open('/proc/%s/cmdline' % entry, 'rb') as file: line = file.read()
    except OSError: continue
    if b'secret of the neighbour' in line and b'number = @NEIGHBOUR@' in line: escaped('process %s' % entry)
contained('none')
