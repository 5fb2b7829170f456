# threat: fork bomb, threads, zombies
# attack: starts threads until it cannot any more, at most to twice the limit
# escapes: without Processes
def work():
    import threading
    threading.stack_size(65536)
    made, stop = 0, threading.Event()
    try:
        while made < 2 * @PROCESSES@:
            threading.Thread(target=stop.wait, daemon=True).start(); made += 1
    except RuntimeError: pass
    return 42 if made > @PROCESSES@ else 0
status = in_child(work, 15)
if status == 42: escaped('more than @PROCESSES@ threads')
contained('threads count as processes')
