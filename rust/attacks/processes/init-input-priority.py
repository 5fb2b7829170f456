# threat: see, signal, ptrace other processes; take over the sandbox's own init
# attack: changes how process 1 runs, which has the same user id: input-priority
# escapes: without Call:ioprio_set
result = call(251, 1, 1, (3 << 13) | 7)
if result >= 0: escaped('process 1 waits for its files now')
contained(name(result))
