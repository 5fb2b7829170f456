# threat: another sandbox: its files, processes, network, shm, keys
# attack: opens segments, queues and semaphores of its neighbour by their numbers
# escapes: without Ipc Call:clone Memory
for title, number in (('segment', 29), ('queue', 68), ('semaphores', 64)):
    arguments = (0, 0) if number == 29 else (0,) if number == 68 else (1, 0)
    if call(number, @NEIGHBOUR@, *arguments) >= 0: escaped('a %s of the neighbour' % title)
for file in ('shm', 'msg', 'sem'):
    try:
        with open('/proc/sysvipc/' + file) as table:
            if len(table.readlines()) > 1: escaped('/proc/sysvipc/%s lists something' % file)
    except OSError: pass
contained('none')
