# threat: userns, mount, unshare, setns, clone3 with namespaces, fsopen, open_tree, pivot_root
# attack: makes namespaces by unshare: a user namespace first, then what its capabilities allow
# escapes: without Call:unshare FurtherNamespaces
flags = {'user': 0x10000000, 'mnt': 0x20000, 'uts': 0x4000000, 'ipc': 0x8000000, 'pid': 0x20000000, 'net': 0x40000000, 'cgroup': 0x2000000, 'time': 0x80}
for title, flag in flags.items():
    if in_child(lambda: 42 if call(272, flag) >= 0 else 0) == 42: escaped('namespace: %s' % title)
    if in_child(lambda: 42 if call(272, flag | 0x10000000) >= 0 else 0) == 42: escaped('namespaces: user, %s' % title)
contained('none can be made')
