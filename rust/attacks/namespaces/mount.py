# threat: userns, mount, unshare, setns, clone3 with namespaces, fsopen, open_tree, pivot_root
# attack: mounts, binds, remounts, unmounts
# escapes: without Capabilities LandlockFiles
os.makedirs('/tmp/mount', exist_ok=True)
def tried(*arguments): return in_child(lambda: 42 if call(*arguments) >= 0 else 0) == 42
for title, arguments in {
    'tmpfs': (165, b'none', b'/tmp/mount', b'tmpfs', 0, None), 'proc': (165, b'none', b'/tmp/mount', b'proc', 0, None),
    'bind': (165, b'/etc', b'/tmp/mount', None, 4096, None), 'remount': (165, None, b'/', None, 32 | 4096, None),
    'remount of /usr': (165, None, b'/usr', None, 32 | 4096, None), 'propagation': (165, None, b'/', None, 1 << 20 | 16384, None),
    'umount of /proc': (166, b'/proc', 2), 'umount of /tmp': (166, b'/tmp', 2), 'umount of /usr': (166, b'/usr', 8),
    'pivot_root': (155, b'/tmp', b'/tmp/mount'), 'chroot': (161, b'/tmp'),
}.items():
    if tried(*arguments): escaped(title)
contained('nothing can be mounted')
