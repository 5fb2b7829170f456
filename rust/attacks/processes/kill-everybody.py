# threat: see, signal, ptrace other processes; take over the sandbox's own init
# attack: kills everything that it may, shepherds and workers included: whoever is left must be init alone, and it must go on
# ends: killed
# escapes: without FreshProc
before = [entry for entry in os.listdir('/proc') if entry.isdigit()]
for entry in before:
    with open('/proc/%s/stat' % entry) as file:
        if 'zygote' in file.read(): escaped('process %s is the zygote, and within reach' % entry)
os.kill(1, 9); os.kill(1, 19)
os.kill(-1, 9)
time.sleep(5)
escaped('it outlived that')
