# threat: see, signal, ptrace other processes; take over the sandbox's own init
# attack: traces a child of its own, which is how filters of calls were once passed
# escapes: without Call:ptrace
def work(): return 42 if call(101, 0, 0, None, None) >= 0 else 0
if in_child(work) == 42: escaped('a child can be traced')
contained('tracing is refused')
