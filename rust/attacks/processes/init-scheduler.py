# threat: see, signal, ptrace other processes; take over the sandbox's own init
# attack: changes how process 1 runs, which has the same user id: scheduler
# escapes: without Call:sched_setscheduler
result = call(144, 1, 3, ctypes.create_string_buffer(8))
if result >= 0: escaped('process 1 runs in batches now')
contained(name(result))
