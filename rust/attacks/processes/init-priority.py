# threat: see, signal, ptrace other processes; take over the sandbox's own init
# attack: changes how process 1 runs, which has the same user id: priority
# escapes: without Call:setpriority
result = call(141, 0, 1, 5)
if result >= 0: escaped('process 1 is less important now')
contained(name(result))
