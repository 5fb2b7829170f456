# threat: userns, mount, unshare, setns, clone3 with namespaces, fsopen, open_tree, pivot_root
# attack: makes namespaces by clone, with the zygote's own flags among others
# escapes: without Call:clone FurtherNamespaces
for flags in (0x10000000, 0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000, 0x2000000, 0x10000000 | 0x20000, 0x3c020000, 0x3c021000, 0x7c020000):
    place = ctypes.c_int(-1)
    pid = call(56, flags | 17, None, ctypes.byref(place), None, 0)
    if pid == 0: os._exit(0)
    if pid > 0: os.waitpid(pid, 0); escaped('clone with %#x' % flags)
contained('none can be made')
