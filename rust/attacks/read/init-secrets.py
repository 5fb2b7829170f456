# threat: read host files, credentials, /etc/shadow, the JVM's environment
# attack: opens what /proc has about process 1: environment, memory, mappings, root, working directory, descriptors, program
# escapes: without NotDumpable
for name_ in ('environ', 'mem', 'maps', 'smaps', 'auxv', 'stack', 'syscall', 'io', 'pagemap', 'map_files', 'fd', 'fdinfo', 'ns/net', 'ns/user'):
    path = '/proc/1/' + name_
    try:
        if os.path.isdir(path): content = os.listdir(path)
        else:
            with open(path, 'rb') as file: content = file.read(64) if name_ != 'mem' else file.fileno()
    except OSError: continue
    if content: escaped('%s: %s' % (path, content))
for name_ in ('root', 'cwd', 'exe', 'fd/0', 'fd/3', 'ns/mnt'):
    try: escaped('/proc/1/%s leads to %s' % (name_, os.readlink('/proc/1/' + name_)))
    except OSError: pass
contained('init keeps everything to itself')
