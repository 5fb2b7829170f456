"""Runs a custom agent in CPython.

The file named by the last argument defines a function agent(input). The input is the JSON document in the file named by
E2B_AGENT_INPUT; the answer, {"ok": true, "result"} or {"ok": false, "error": {"name", "value", "traceback"}}, is written to the file
named by E2B_AGENT_OUTPUT. Exits with 0 when the agent answered, else with 1. What the agent prints is its own. The agent may be a
coroutine function. Values with a method tolist (numpy, pandas) are taken as what it returns.
"""

import json
import os
import sys
import traceback
import types

OUTPUT = os.environ["E2B_AGENT_OUTPUT"]


def plain(value):
    """What json cannot write by itself."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"agent returned a {type(value).__name__}, which JSON cannot represent")


def run(path):
    """The answer of the agent in the file `path`, as JSON text."""
    with open(os.environ["E2B_AGENT_INPUT"], encoding="utf-8") as file:
        data = json.load(file)
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec")
    module = types.ModuleType("e2b_agent")
    module.__file__ = path
    # Where dataclasses and pickle look for the module of a class, and import for files beside the agent.
    sys.modules[module.__name__] = module
    sys.path.insert(0, os.path.dirname(path))
    exec(code, module.__dict__)
    agent = getattr(module, "agent", None)
    if not callable(agent):
        raise TypeError("the agent file must define a function agent(input)")
    result = agent(data)
    if hasattr(result, "__await__"):
        import asyncio

        async def settled():
            return await result

        result = asyncio.run(settled())
    if not isinstance(result, dict):
        raise TypeError(f"agent must return a dict, got {type(result).__name__}")
    return '{"ok":true,"result":' + json.dumps(result, ensure_ascii=False, allow_nan=False, default=plain) + "}"


def failure(error):
    """The answer for an exception, its traceback without the runner's own frames."""
    if isinstance(error, SystemExit):
        name, value = "ExitStatus", f"the agent exited with status {error.code}"
    else:
        name, value = type(error).__name__, str(error)
    # Frames of this runner come first, down to the call into the agent.
    frame, own = error.__traceback__, run.__code__.co_filename
    while frame is not None and frame.tb_frame.f_code.co_filename == own:
        frame = frame.tb_next
    text = "".join(traceback.format_exception(type(error), error, frame))
    return json.dumps({"ok": False, "error": {"name": name, "value": value, "traceback": text}}, ensure_ascii=False)


def main():
    try:
        answer, status = run(os.path.abspath(sys.argv[-1])), 0
    except BaseException as error:  # an agent may also call sys.exit
        answer, status = failure(error), 1
    # A lone surrogate, which UTF-8 cannot hold, becomes a question mark.
    with open(OUTPUT, "w", encoding="utf-8", errors="replace") as file:
        file.write(answer)
    sys.exit(status)


main()
