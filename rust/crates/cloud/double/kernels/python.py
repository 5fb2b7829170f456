"""A kernel of the double: runs Python code and keeps its names. Lines come on descriptor 5, answers go to 4, and a mark on both
outputs says that all of a run's output is written."""
import ast
import json
import os
import sys
import traceback

answers = os.fdopen(4, "w", buffering=1)
names = {"__name__": "__main__", "__builtins__": __builtins__}


def tell(message):
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def run(code):
    tree = ast.parse(code, "<code>")
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<code>", "exec"), names)
    if last is not None:
        value = eval(compile(ast.Expression(last.value), "<code>", "eval"), names)
        if value is not None:
            tell({"type": "result", "text": repr(value), "is_main_result": True})


for line in os.fdopen(5):
    asked = json.loads(line)
    before = dict(os.environ)
    os.environ.update(asked["env"])
    try:
        run(asked["code"])
    except BaseException as error:  # an interrupt and an exit are results, too
        text = "".join(traceback.format_exception(error))
        tell({"type": "error", "name": type(error).__name__, "value": str(error), "traceback": text})
    os.environ.clear()
    os.environ.update(before)
    for stream in (sys.stdout, sys.stderr):
        stream.write(asked["mark"])
        stream.flush()
    tell({"type": "end"})
