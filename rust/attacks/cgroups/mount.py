# threat: release_agent, own limits, leaving the cgroup
# attack: mounts the file systems of control groups
# escapes: without Capabilities LandlockFiles
os.makedirs('/tmp/groups', exist_ok=True)
for kind, options in ((b'cgroup2', None), (b'cgroup', b'memory'), (b'cgroup', b'pids'), (b'cgroup', b'rdma'), (b'cgroup', b'none,name=e2bridge-attack')):
    if call(165, b'none', b'/tmp/groups', kind, 0, options) >= 0:
        listed = os.listdir('/tmp/groups'); call(166, b'/tmp/groups', 2)
        escaped('%s: %s' % (kind.decode(), listed[:4]))
contained('none can be mounted')
