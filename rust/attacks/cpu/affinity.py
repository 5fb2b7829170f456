# threat: CPU hog, real-time priority, descriptor exhaustion
# attack: chooses its processors itself
# escapes: without Call:sched_setaffinity
if call(203, 0, 128, b'\xff' * 128) >= 0: escaped('every processor')
if call(203, 0, 8, b'\x01' + bytes(7)) >= 0: escaped('the first processor')
contained('refused')
