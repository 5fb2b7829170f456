"""What CPython allows: the code of a sandbox run in this very process, without any boundary.

Reads lines "OPERATION COUNT" and answers each with one line: COUNT times in nanoseconds, or "error TEXT".
"""
import ast
import sys
import time


def run(code, names):
    """Runs the code; its value is that of the last expression, as in a console."""
    tree = ast.parse(code)
    last = ast.Expression(tree.body.pop().value)
    exec(compile(tree, "code", "exec"), names)
    return eval(compile(last, "code", "eval"), names)


def main(code, expected):
    kept = {"__name__": "__main__"}
    operations = {"new-module": lambda: run(code, {"__name__": "__main__"}), "kept-module": lambda: run(code, kept)}
    for line in sys.stdin:
        name, count = line.split()
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
