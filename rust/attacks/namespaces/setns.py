# threat: userns, mount, unshare, setns, clone3 with namespaces, fsopen, open_tree, pivot_root
# attack: enters namespaces of others, by their files in /proc and by descriptors of processes
# escapes: without Capabilities Call:setns
import glob
for path in glob.glob('/proc/[0-9]*/ns/*') + glob.glob('/proc/self/ns/*'):
    try: descriptor = os.open(path, os.O_RDONLY)
    except OSError: continue
    for kind in (0, 0x4000000, 0x8000000, 0x20000, 0x40000000, 0x2000000):
        if in_child(lambda: 42 if call(308, descriptor, kind) >= 0 else 0) == 42: escaped('entered %s' % path)
    os.close(descriptor)
for pid in {1, os.getppid(), os.getpid()}:
    descriptor = call(434, pid, 0)
    if descriptor >= 0 and call(308, descriptor, 0x4000000 | 0x8000000) >= 0: escaped('entered those of process %d' % pid)
contained('none can be entered')
