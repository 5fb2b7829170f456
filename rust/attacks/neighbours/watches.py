# threat: another sandbox: its files, processes, network, shm, keys
# attack: takes all instances of inotify that its user may have, of which its neighbour and the host must notice nothing
# neighbour: print('CONTAINED the neighbour can watch') if call(294, 0) >= 0 else print('ESCAPED nothing is left to the neighbour')
# escapes: without Watches
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while call(294, 0) >= 0: pass
        time.sleep(6)
    os._exit(0)
os.wait(); time.sleep(0.3)
contained('')
