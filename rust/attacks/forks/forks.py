# threat: fork bomb, threads, zombies
# attack: forks until it cannot any more, at most to twice the limit
# ends: killed
# escapes: without Processes
made = []
try:
    while len(made) < 2 * @PROCESSES@:
        pid = os.fork()
        if pid == 0:
            os.closerange(0, 64)
            time.sleep(6); os._exit(0)
        made.append(pid)
except OSError: pass
for pid in made: os.kill(pid, 9)
for pid in made: os.waitpid(pid, 0)
if len(made) > @PROCESSES@: escaped('%d processes, allowed are @PROCESSES@' % len(made))
contained('%d processes' % len(made))
