# threat: userns, mount, unshare, setns, clone3 with namespaces, fsopen, open_tree, pivot_root
# attack: makes mounts by descriptors: fsopen, open_tree, move_mount, mount_setattr
# escapes: without Capabilities LandlockFiles Call:fsopen
for title, arguments in {'fsopen': (430, b'tmpfs', 0), 'fspick': (433, -100, b'/', 0), 'open_tree': (428, -100, b'/', 1 | 0x8000), 'open_tree without a copy': (428, -100, b'/', 0)}.items():
    if call(*arguments) >= 0: escaped(title)
attributes = struct.pack('QQQQ', 0, 1, 0, 0)
if call(442, -100, b'/usr', 0, attributes, 32) >= 0: escaped('mount_setattr makes /usr writable')
if call(429, -100, b'/etc', -100, b'/tmp', 0) >= 0: escaped('move_mount')
contained('refused')
