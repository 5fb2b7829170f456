# threat: device nodes, mknod, set-uid files, file capabilities
# attack: runs set-user-id programs of the system and makes its own
# escapes: without NoSuid
# escapes: without NoNewPrivileges Seccomp LandlockFiles LandlockScopes as root
with open('/proc/self/mountinfo') as file: lines = [line.split(' ') for line in file]
for fields in lines:
    if 'nosuid' not in fields[5].split(','): escaped('set-user-id is honoured in %s' % fields[4])
with open('/proc/self/status') as file: status = dict(line.split(':', 1) for line in file)
if status.get('NoNewPrivs', '1').strip() != '1': escaped('programs can gain privileges')
if len(set(status['Uid'].split() + status['Gid'].split())) != 1: escaped('ids: %s' % status['Uid'])
for line in ('cp /usr/bin/id /tmp/id && chmod 6755 /tmp/id && /tmp/id', 'su -c id', 'sudo -n id', 'newgrp root', 'mount -t tmpfs none /tmp', 'passwd -S'):
    pid = os.fork()
    if pid == 0:
        null = os.open('/dev/null', os.O_RDWR); out = os.open('/tmp/out', os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(null, 0); os.dup2(out, 1); os.dup2(null, 2)
        os.execv('/bin/sh', ['sh', '-c', line])
    os.waitpid(pid, 0)
    with open('/tmp/out') as file: said = file.read()
    if 'uid=0' in said or 'euid=' in said: escaped('%s: %s' % (line, said))
contained('nobody else to be had')
