# threat: host loopback, egress, the host's own address, 169.254.169.254, abstract and path unix sockets
# attack: looks for sockets in the file system, and connects: a read-only mount does not prevent that
# escapes: without OldRoot
found = [way + '@HOST_DIRECTORY@/socket' for way in ('', '/run', '/proc/1/root', '/..')]
for top in ('/run', '/var', '/dev', '/etc', '/tmp', '/home', '/opt', '/srv', '/usr/local', '/usr/lib/systemd', '/root'):
    for place, directories, files in os.walk(top):
        if len(found) > 1000: break
        directories[:] = [] if place.count('/') > 6 else directories
        for entry in files:
            try:
                if stat.S_ISSOCK(os.lstat(os.path.join(place, entry)).st_mode): found.append(os.path.join(place, entry))
            except OSError: pass
for path in found:
    s = socket.socket(socket.AF_UNIX)
    if s.connect_ex(path[:107]) == 0: escaped('connected to %s' % path)
contained('no socket answers')
