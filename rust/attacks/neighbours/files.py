# threat: another sandbox: its files, processes, network, shm, keys
# attack: looks for files of its neighbour
# escapes: without ReadOnly LandlockFiles as user
# escapes: without ReadOnly DedicatedIds LandlockFiles as root
for place in ('/tmp', '/home/user', '/data', '/opt', '/usr/local', '/srv', '/var/tmp', '/dev/shm', '/run', '/etc', '/', '/root'):
    if os.path.exists(place + '/neighbour-@NEIGHBOUR@'): escaped('%s has a file of the neighbour' % place)
contained('none')
