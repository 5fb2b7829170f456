"""What CPython allows: the code of a sandbox run in this very process, without any boundary.

Reads lines "OPERATION COUNT" and answers each with one line: COUNT times in nanoseconds, or "error TEXT".
"""
import ast
import os
import sys
import time


def run(code, names):
    """Runs the code; its value is that of the last expression, as in a console."""
    tree = ast.parse(code)
    last = ast.Expression(tree.body.pop().value)
    exec(compile(tree, "code", "exec"), names)
    return eval(compile(last, "code", "eval"), names)


def forked(work):
    """Does the work in a forked process, and says whether it came out well."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if work() else 1)
        except BaseException:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def fork_by_two(work, count):
    """Forks that do the work, by two processes at once. Each of the times is the whole one divided by their count."""
    turns = (count + 1) // 2
    children = []
    begin = time.perf_counter_ns()
    for _ in range(2):
        child = os.fork()
        if child == 0:
            os._exit(0 if all(forked(work) for _ in range(turns)) else 1)
        children.append(child)
    # Both are waited for, whatever the first one says.
    well = all([os.waitpid(child, 0)[1] == 0 for child in children])
    each = (time.perf_counter_ns() - begin) // (2 * turns)
    return [each] * count if well else ["error", "fork-by-two: a process failed"]


def main(code, expected):
    kept = {"__name__": "__main__"}
    operations = {"new-module": lambda: run(code, {"__name__": "__main__"}), "kept-module": lambda: run(code, kept)}
    for line in sys.stdin:
        name, count = line.split()
        if name == "fork-by-two":
            times = fork_by_two(lambda: repr(operations["new-module"]()) == expected, int(count))
            print(*times, flush=True)
            continue
        times = []
        for _ in range(int(count)):
            begin = time.perf_counter_ns()
            result = operations[name]()
            times.append(time.perf_counter_ns() - begin)
            if repr(result) != expected:
                times = ["error", name + ": got", result]
                break
        print(*times, flush=True)


main(sys.argv[1], sys.argv[2])
