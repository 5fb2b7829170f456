# threat: see, signal, ptrace other processes; take over the sandbox's own init
# attack: changes how process 1 runs, which has the same user id: limits
# escapes: without Call:prlimit64
result = call(302, 1, 7, None, ctypes.create_string_buffer(16))
if result >= 0: escaped('limits of process 1 can be read')
contained(name(result))
