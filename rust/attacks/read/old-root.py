# threat: read host files, credentials, /etc/shadow, the JVM's environment
# attack: looks for the host's root below every mount and every known way up, and reads a file there
# escapes: without OldRoot
ways = ['', '/..', '/../../../..', '/proc/1/root', '/proc/self/root', '/proc/self/cwd/../../..', '/run', '/mnt', '/old', '/.old']
try:
    with open('/proc/self/mountinfo') as file: ways += [line.split(' ')[4] for line in file]
except OSError as error: contained(error)
for way in ways:
    for path in ('@HOST_DIRECTORY@/secret', '/etc/shadow', '/root/.bashrc', '/var/lib/dpkg/status', '/boot'):
        try: found = os.lstat(way + path)
        except OSError: continue
        if path == '/boot' and not stat.S_ISDIR(found.st_mode): continue
        escaped('%s%s is there, of user %d' % (way, path, found.st_uid))
contained('%d ways lead nowhere' % len(ways))
