# threat: device nodes, mknod, set-uid files, file capabilities
# attack: uses, raises and keeps capabilities, and gives a file some
# escapes: without Capabilities
# escapes: unconfined as root
with open('/proc/self/status') as file: status = dict(line.split(':', 1) for line in file)
for set_ in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
    if int(status[set_], 16): escaped('%s is %s' % (set_, status[set_].strip()))
with open('/tmp/capable', 'w') as file: file.write('x')
try:
    os.setxattr('/tmp/capable', 'security.capability', struct.pack('<IIIII', 0x02000001, 1 << 21, 0, 0, 0))
    escaped('a file has a capability')
except OSError: pass
for bit in range(41):
    if call(157, 47, 2, bit, 0, 0) >= 0: escaped('ambient capability %d' % bit)
for kind in ('setuid', 'setgid'):
    try: getattr(os, kind)(0); escaped(kind)
    except OSError: pass
contained('none, in any set')
