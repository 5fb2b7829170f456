# threat: write host files, change /usr
# attack: looks for a mount, below others too, that is writable and not a place of its own
# escapes: without ReadOnly
own = ('/home/user', '/data', '/opt', '/usr/local', '/srv', '/var/tmp', '/dev/shm', '/tmp', '/proc')
with open('/proc/self/mountinfo') as file: lines = file.read().splitlines()
for line in lines:
    fields = line.split(' ')
    point, options = fields[4], fields[5].split(',')
    if 'rw' in options and point not in own: escaped('%s is mounted %s' % (point, fields[5]))
contained('%d mounts' % len(lines))
