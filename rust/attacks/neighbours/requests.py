# threat: another sandbox: its files, processes, network, shm, keys
# attack: takes all asynchronous requests of the machine: there is one number for all
# neighbour: n = int(open('/proc/sys/fs/aio-nr').read()); print('CONTAINED %d requests' % n) if n < 4096 else print('ESCAPED %d requests are taken' % n)
# escapes: without Call:io_setup
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for i in range(64):
            context = ctypes.c_ulong(0)
            if call(206, 512, ctypes.byref(context)) < 0: break
        time.sleep(6)
    os._exit(0)
os.wait(); time.sleep(0.3)
contained('')
