# threat: fork bomb, threads, zombies
# attack: keeps as many processes as it can, of which another sandbox must notice nothing
# neighbour: print('CONTAINED the neighbour starts programs') if all(in_child(lambda: 0) == 0 for i in range(20)) and all(os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)[1] == 0 for i in range(5)) else print('ESCAPED the neighbour cannot start programs')
# escapes: unconfined
def daemon():
    os.setsid()
    for i in range(@PROCESSES@ - 8):
        try:
            if os.fork() == 0: break
        except OSError: break
    time.sleep(8)
if os.path.exists('/etc/shadow'): escaped('processes of the host count together with its own')
if os.fork() == 0:
    try:
        if os.fork() == 0: daemon()
    finally: os._exit(0)
os.wait(); time.sleep(0.4)
contained('')
