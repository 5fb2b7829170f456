# threat: device nodes, mknod, set-uid files, file capabilities
# attack: looks for device nodes beyond the six, and for mounts on which one would work
# escapes: without NoDevices
known = {'/dev/' + n for n in ('null', 'zero', 'full', 'random', 'urandom', 'tty')}
for place, directories, files in os.walk('/dev'):
    for entry in files:
        path = os.path.join(place, entry)
        mode = os.lstat(path).st_mode
        if (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)) and path not in known: escaped('there is %s' % path)
with open('/proc/self/mountinfo') as file: lines = [line.split(' ') for line in file]
for fields in lines:
    if 'nodev' not in fields[5].split(',') and fields[4] not in known and not (fields[4] == '/' and 'ro' in fields[5]):
        escaped('devices would work in %s' % fields[4])
contained('six and no more')
