"""Runs code in CPython for a caller at the other end of descriptor 3.

Messages are JSON in UTF-8 behind their length as four bytes, little endian. A request is {run, code, stateless, timeout_ms,
max_output_bytes}; the reply is {run, result, results, error, timed_out, out_of_memory, spent, dropped_bytes}. What the code prints goes to
descriptors 1 and 2 and is there before the reply.

The result is the value of the last expression: a string as it is, anything else as repr() shows it, nothing for None. Code may await at
its top level. display(value, ...) adds results.

A stateless run has a module __main__ of its own. After it, these are as they were: builtins, the names in sys, sys.path and its like,
the environment, working directory, umask, standard streams, descriptors, signal handlers and mask, timers, limits, random and
numpy.random (seeded anew), warning filters, exit handlers. Modules of the interpreter's own library stay imported, with whatever the
code did to them; modules found elsewhere are forgotten. A run that left threads, children, lowered limits or a foreign extension
module behind makes the worker `spent`: it exits after the reply. Other runs share one __main__ and nothing is put back.

Whatever this program needs is bound to names of its own at the start, so that code that changes a library does not reach it. Code
that goes for this program's own frames can still break it; that costs it this process, no more.

A start is to be cheap: as much as can be is taken from modules in C, and what only an exception needs is imported at the first one, or when there
is time. With the argument "zygote" this program makes itself ready, and hands its process over to the zygote's extension module, which comes
back in each forked worker.
"""

import atexit
import builtins
import fcntl
import gc
import io
import os
import resource
import select
import sys
import warnings
import _ast
import _codecs
import _json
import _operator
import _signal
import _thread
import time

# The functions below find their builtins here, whatever becomes of the module.
__builtins__ = dict(builtins.__dict__)


def frozen(module):
    """The names of a module as they are now."""
    return SimpleNamespace(**module.__dict__)


SimpleNamespace, ModuleType = type(sys.implementation), type(sys)
library = os
ast, atexit, gc, io, os, resource, signal, time = map(frozen, (_ast, atexit, gc, io, os, resource, _signal, time))

CHANNEL = 3
MAX_MESSAGE = 64 * 1024 * 1024
# Bytes that one read asks for at least.
READ = 16 * 1024
# The most that these may take in a reply, in bytes of JSON; together they stay below the longest message.
MAX_RESULT = 12 * 1024 * 1024
MAX_RESULTS = 24 * 1024 * 1024
MAX_ERROR = 1024 * 1024
MAX_DISPLAYED = 1000
MAX_DEPTH = 100
MAX_REMEMBERED = 100
# Compiled codes that are kept, and the longest that is, in characters.
MAX_COMPILED = 100
MAX_CODE = 20000
# After the time-out the code is interrupted again and again, should it catch the first one.
AGAIN = 0.05
# Milliseconds without a request after which there is time for what may not be needed.
IDLE = 1000
# Seconds that putting everything back may take, finalizers of the code included.
MAX_CLEANUP = 5.0
FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
COROUTINE = 0x80
FUTURES = 0
for _name in __import__("__future__").all_feature_names:
    FUTURES |= getattr(__import__("__future__"), _name).compiler_flag
OWN = frozen.__code__.co_filename
# The zygote's extension module.
ZYGOTE = library.path.dirname(OWN) + "/python-zygote.so"

_read, _write, _exit, _getpid = os.read, os.write, os._exit, os.getpid
_setitimer, _REAL = signal.setitimer, signal.ITIMER_REAL
_clock = time.monotonic
_signal, _getsignal, _ALARM = signal.signal, signal.getsignal, signal.SIGALRM
_fcntl, _DUP, _GETFD = fcntl.fcntl, fcntl.F_DUPFD_CLOEXEC, fcntl.F_GETFD
_getrlimit, _getpriority, _PROCESS = resource.getrlimit, os.getpriority, os.PRIO_PROCESS
_is = _operator.is_
_scan = _json.make_scanner(
    SimpleNamespace(strict=True, object_hook=None, object_pairs_hook=None, parse_float=float, parse_int=int, parse_constant=float)
)
_compile, _exec, _eval = compile, exec, eval
make_encoder, encode_basestring = _json.make_encoder, _json.encode_basestring
# Each digit is a zero, everything else a blank.
DIGITS = bytes(48 if 48 <= one < 58 else 32 for one in range(256))
NO_BRACKETS = bytes(one for one in range(256) if one not in b"[]{}")
# Half surrogate pairs, which UTF-8 cannot hold.
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)
_register_error = _codecs.register_error
# What is registered for errors of codecs, where the code that runs can replace it.
_HANDLERS = [
    (name, _codecs.lookup_error(name))
    for name in ("strict", "ignore", "replace", "xmlcharrefreplace", "backslashreplace", "namereplace", "surrogatepass", "surrogateescape")
]


class TimeOut(BaseException):
    """Interrupts code whose time is over."""


class State:
    """What this program remembers between runs."""

    phase = "idle"
    timed_out = False
    deadline = 0.0
    pid = os.getpid()
    runs = 0
    results = []
    compiled = {}
    results_room = 0
    dropped = 0
    module = None
    loop = None
    traceback = None
    linecache = None
    # What the first two import only when they need it.
    later = {}
    # Something was imported that stays.
    grown = False
    # False in a fork: it has yet to get a copy of each page of memory that it writes to, which costs a fault.
    rehearsed = True


def on_alarm(_signal, _frame):
    """The time is over."""
    if State.phase == "code":
        # The code may send or set off this signal, too.
        if _clock() + 0.01 < State.deadline:
            return
        State.timed_out = True
        raise TimeOut
    if State.phase == "cleanup":
        _exit(1)


def json_text(value):
    """The value as JSON text, or None where JSON cannot say it, or a reader of the reply might not take it."""
    kind = type(value)
    if kind is str:
        text = encode_basestring(value)
    elif kind is bool:
        return "true" if value else "false"
    else:
        try:
            text = "".join(make_encoder({}, refuse, encode_basestring, None, ":", ",", False, False, False)(value, 0))
        except TimeOut:
            raise
        except BaseException:
            return None
        long = len(text) > 18 and has_long_number(text.encode("utf-8", "replace"))
        if long or text.count("[") + text.count("{") > MAX_DEPTH:
            bare = without_strings(text).encode()
            if has_long_number(bare):
                return None
            depth = 0
            for bracket in bare.translate(None, NO_BRACKETS):
                depth += 1 if bracket in b"[{" else -1
                if depth > MAX_DEPTH:
                    return None
    return text


def has_long_number(text):
    """True when there are 19 digits in a row."""
    return b"0" * 19 in text.translate(DIGITS)


def without_strings(text):
    """What of a JSON text is outside of strings."""
    return "".join(text.replace("\\\\", "").replace('\\"', "").split('"')[::2])


def refuse(_value):
    """For the encoder: this value has no form in JSON."""
    raise TypeError


def show(value):
    """The text of a result."""
    return str.__str__(value) if isinstance(value, str) else repr(value)


def cut(text, room):
    """The text as JSON in at most `room` bytes or so; what is cut off is counted."""
    whole = encode_basestring(text)
    # Four bytes a character at most.
    if len(whole) * 4 <= room:
        return whole
    size = len(whole.encode("utf-8", "replace"))
    if size <= room:
        return whole
    kept = max(room // 6 - 2, 0)
    State.dropped += len(text[kept:].encode("utf-8", "replace"))
    return encode_basestring(text[:kept])


def add_result(value, is_main):
    """Adds a rich result and answers its text."""
    text = show(value)
    if len(State.results) >= MAX_DISPLAYED and not is_main:
        State.dropped += len(text)
        return text
    shown = cut(text, State.results_room // 2)
    State.results_room -= len(shown.encode("utf-8", "replace"))
    form = json_text(value)
    if form is not None:
        size = len(form) if form.isascii() else len(form.encode("utf-8", "replace"))
        if size > State.results_room:
            form = None
        else:
            State.results_room -= size
    State.results.append('{"text":%s,"json":%s,"is_main_result":%s}' % (shown, form or "null", "true" if is_main else "false"))
    return text


def display(*values):
    """Adds each value to the results of the run."""
    for value in values:
        add_result(value, False)


def describe(error):
    """The error of a reply, without the frames of this program."""
    kind = type(error)
    try:
        name = str(kind.__name__)
    except BaseException:
        name = "Exception"
    try:
        value = str(error)
    except BaseException:
        value = "<exception str() failed>"
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == OWN:
        frames = frames.tb_next
    try:
        text = formatted(kind, error, frames)
    except BaseException:
        text = "%s: %s\n" % (name, value)
    return '{"name":%s,"value":%s,"traceback":%s}' % (cut(name, MAX_ERROR), cut(value, MAX_ERROR), cut(text, MAX_ERROR))


def prepared(code, stateless):
    """As prepare, and the name of the code. What was compiled before is not compiled again."""
    known = State.compiled.get(code)
    if known is None or known[3] != stateless:
        name = "<code>" if stateless else "<code-%d>" % State.runs
        if not stateless:
            # Functions live on, and tracebacks through them show their lines.
            remember(name, code)
            if State.linecache is not None:
                # A context is the code's own: its libraries find the lines, too.
                sys.modules.setdefault("linecache", State.linecache)
            forget("<code-%d>" % (State.runs - MAX_REMEMBERED))
        known = prepare(code, name) + (name, stateless)
        if len(State.compiled) >= MAX_COMPILED:
            State.compiled.clear()
        if len(code) <= MAX_CODE:
            State.compiled[code] = known
    return known[:3]


def prepare(code, name):
    """Code objects of the statements and of the last expression, each or None."""
    flags = FLAGS if "await" in code or "async" in code else 0
    tree = _compile(code, name, "exec", flags | ast.PyCF_ONLY_AST, True)
    body = tree.body
    last = None
    if body and type(body[-1]) is ast.Expr:
        last = ast.Expression(body.pop().value)
    first = _compile(tree, name, "exec", flags, True) if body else None
    if last is not None:
        features = first.co_flags & FUTURES if first is not None else 0
        last = _compile(last, name, "eval", flags | features, True)
    return first, last


def finish(value):
    """Runs the coroutine that code with an await at its top level is."""
    import asyncio

    loop = State.loop
    if loop is None or loop.is_closed():
        loop = State.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    return loop.run_until_complete(value)


def close_loop():
    """Ends the event loop of a stateless run and what still waits in it."""
    loop, State.loop = State.loop, None
    if loop is None or loop.is_closed():
        return
    import asyncio

    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    asyncio.set_event_loop(None)


# Modules that show an exception, and could be changed by the code where they are there before it.
COPIED = ("traceback", "linecache", "tokenize", "textwrap", "re", "ast")


def formatted(kind, error, frames):
    """The text of an exception."""
    format_exception, _ = tracebacks()
    modules = Base.sys["modules"]
    others = {name: modules.get(name) for name in State.later}
    modules.update(State.later)
    try:
        return "".join(format_exception(kind, error, frames))
    finally:
        for name, module in others.items():
            if module is None:
                modules.pop(name, None)
            else:
                modules[name] = module


def tracebacks():
    """format_exception of the module traceback, and the module linecache that it reads lines from. Copies of our own, from the
    interpreter's library, whatever the code did to those that are imported, or has put in their place."""
    if State.traceback is None:
        # Where some of these are there from the beginning (another interpreter, or its site), they are the code's.
        others = {name: module for name, module in Base.modules.items() if name.partition(".")[0] not in COPIED}
        modules = Base.sys["modules"]
        spaces = ((builtins.__dict__, Base.builtins), (sys.__dict__, Base.sys), (modules, others))
        spaces = [(space, base, dict(space)) for space, base in spaces]
        lists = [(live, base, list(live)) for live, base in Base.lists]
        try:
            for space, base, _ in spaces:
                restore(space, base)
            for live, base, _ in lists:
                live[:] = base
            sys.path[:] = [one for one in sys.path if (one + "/").startswith(LIBRARY)]
            sys.path_importer_cache.clear()
            import ast
            import linecache
            import tokenize
            import traceback

            State.later = {"ast": ast, "tokenize": tokenize}
            State.linecache = linecache
            State.traceback = traceback.format_exception
            State.grown = True
        finally:
            for live, _, own in lists:
                live[:] = own
            for space, _, own in spaces:
                restore(space, own)
            # In their order, too.
            modules.clear()
            modules.update(own)
    return State.traceback, State.linecache


def flush():
    """What the code printed goes to the pipes."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except TimeOut:
            raise
        except BaseException:
            pass


def new_main():
    """An empty module __main__."""
    module = ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = module
    return module


def run(request):
    """Runs the code of a request; the reply as JSON text."""
    code = request["code"]
    stateless = request["stateless"]
    State.runs += 1
    State.results = []
    State.results_room = MAX_RESULTS
    State.dropped = 0
    State.timed_out = False
    result = error = "null"
    out_of_memory = False
    name = "<code>" if stateless else "<code-%d>" % State.runs
    module = State.module
    if module is None:
        module = State.module = new_main()
    space = module.__dict__
    try:
        if _getsignal(_ALARM) is not on_alarm:
            _signal(_ALARM, on_alarm)
        State.phase = "code"
        seconds = max(request["timeout_ms"], 1) / 1000
        State.deadline = _clock() + seconds
        _setitimer(_REAL, seconds, AGAIN)
        try:
            first, last, name = prepared(code, stateless)
            value = None
            if first is not None:
                value = _eval(first, space)
                if first.co_flags & COROUTINE:
                    finish(value)
                value = None
            if last is not None:
                value = _eval(last, space)
                if last.co_flags & COROUTINE:
                    value = finish(value)
                if value is not None:
                    result = cut(add_result(value, True), MAX_RESULT)
                    space["_"] = value
                    value = None
        except SystemExit as exit:
            if exit.code is not None and exit.code != 0:
                error = describe(exit)
        except TimeOut:
            pass
        except BaseException as thrown:
            out_of_memory = isinstance(thrown, MemoryError)
            remember(name, code)
            error = describe(thrown)
            del thrown
        if _getpid() != State.pid:
            leave_child(error)
        if stateless:
            # Already now, for libraries that help to make the reply.
            restore(builtins.__dict__, Base.builtins)
            if State.loop is not None:
                close_loop()
            # What the code left unreferenced may have something to say or to write yet.
            space.pop("_", None)
            space.clear()
        flush()
        State.phase = "idle"
    except TimeOut:
        State.phase = "idle"
    except BaseException as thrown:
        State.phase = "idle"
        error = describe(thrown)
    _setitimer(_REAL, 0)
    if _getpid() != State.pid:
        _exit(1)
    if State.timed_out:
        result = error = "null"
        State.results = [one for one in State.results if not one.endswith('"is_main_result":true}')]
    spent = stateless and (State.timed_out or out_of_memory or leaves_traces())
    return '{"run":%d,"result":%s,"results":[%s],"error":%s,"timed_out":%s,"out_of_memory":%s,"spent":%s,"dropped_bytes":%d}' % (
        request["run"],
        result,
        ",".join(State.results),
        error,
        "true" if State.timed_out else "false",
        "true" if out_of_memory else "false",
        "true" if spent else "false",
        State.dropped,
    ), spent


def remember(name, code):
    """Lets tracebacks show the lines of the code."""
    try:
        linecache = tracebacks()[1]
    except TimeOut:
        raise
    except BaseException:
        return
    if isinstance(linecache.cache, dict):
        lines = [line + "\n" for line in code.splitlines()]
        linecache.cache[name] = (len(code), None, lines, name)


def forget(name):
    """The opposite of remember."""
    if State.linecache is not None and isinstance(State.linecache.cache, dict):
        State.linecache.cache.pop(name, None)


def leave_child(error):
    """The code forked, and this is the child at the end of it: as a script it would end here."""
    try:
        flush()
        if error != "null":
            _write(2, (_scan(error, 0)[0]["traceback"]).encode("utf-8", "replace"))
    finally:
        _exit(0 if error == "null" else 1)


# What stateless runs start from.


def limits():
    """All resource limits, and the niceness."""
    return [*map(_getrlimit, LIMITS), _getpriority(_PROCESS, 0)]


def open_streams():
    """New standard streams on descriptors 0 to 2."""
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(
        io.BufferedReader(io.FileIO(0, "r", closefd=False)), encoding="utf-8", errors="surrogateescape"
    )
    sys.stdout = sys.__stdout__ = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(1, "w", closefd=False)), encoding="utf-8", errors="surrogateescape", line_buffering=True, write_through=True
    )
    sys.stderr = sys.__stderr__ = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w", closefd=False)), encoding="utf-8", errors="backslashreplace", line_buffering=True, write_through=True
    )


def descriptors():
    """Numbers of the open descriptors, as texts. One of them may be that of the directory itself and is closed by now."""
    try:
        return set(_listdir("/proc/self/fd"))
    except OSError:
        # A sandbox without namespaces has no /proc to look into.
        every = range(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        poll = _poll()
        for one in every:
            poll.register(one, 0)
        closed = {one for one, event in poll.poll(0) if event & _CLOSED}
        return {str(one) for one in every if one not in closed}


def is_open(number):
    """True for the number of an open descriptor."""
    try:
        return _fcntl(number, _GETFD) >= 0
    except OSError:
        return False


def close_others():
    """Closes every descriptor that was not open at the start."""
    if Base.by_range:
        for first, end in Base.gaps:
            os.closerange(first, end)
        return
    for number in descriptors() - Base.open:
        try:
            os.close(int(number))
        except OSError:
            pass


# No descriptor has this number or a higher one.
NONE_ABOVE = 1 << 30
_listdir = os.listdir
_poll = select.poll
_POLLIN, _CLOSED = select.POLLIN, select.POLLNVAL
LIMITS = sorted({getattr(resource, one) for one in dir(resource) if one.startswith("RLIMIT_")})


class Base:
    """What stateless runs start from."""

    @classmethod
    def take(cls):
        """Remembers everything as it is now."""
        cls.builtins = dict(builtins.__dict__)
        cls.sys = dict(sys.__dict__)
        cls.lists = [(sys.path, list(sys.path)), (sys.meta_path, list(sys.meta_path)), (sys.path_hooks, list(sys.path_hooks))]
        cls.lists += [(sys.argv, list(sys.argv)), (warnings.filters, list(warnings.filters))]
        cls.modules = dict(sys.modules)
        cls.environ = os.environ
        cls.data = dict(os.environ)
        cls.bytes = os.environ._data
        cls.copy = dict(cls.bytes)
        cls.cwd = os.getcwd()
        cls.signals = [(one, signal.getsignal(one)) for one in sorted(signal.valid_signals())]
        cls.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        cls.limits = limits()
        cls.recursion = sys.getrecursionlimit()
        cls.interval = sys.getswitchinterval()
        cls.gc = gc.get_threshold()
        cls.digits = sys.get_int_max_str_digits() if hasattr(sys, "get_int_max_str_digits") else None
        # Copies of the standard streams, should the code put something else in their place.
        cls.null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        cls.streams = [_dup(one) for one in (0, 1, 2)]
        cls.open = {one for one in descriptors() if is_open(int(one))}
        numbers = sorted(map(int, cls.open))
        cls.gaps = [(low + 1, high) for low, high in zip([-1, *numbers], [*numbers, NONE_ABOVE]) if low + 1 < high]
        # One system call a gap, where this interpreter was built for that; else one for each number.
        began = _clock()
        os.closerange(numbers[-1] + 1, numbers[-1] + 10_000)
        cls.by_range = _clock() - began < 0.0001


def _dup(number):
    """A copy that programs do not inherit, out of the way."""
    return _fcntl(number, _DUP, 64)


def leaves_traces():
    """True when the run left what cannot be put back in this process."""
    if _thread._count() > 0 or limits() != Base.limits:
        return True
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    except ChildProcessError:
        pass
    modules = Base.sys["modules"]
    if same(modules, Base.modules):
        return False
    for name, module in list(modules.items()):
        if name not in Base.modules and not stays(module) and is_extension(module):
            return True
    return False


def same(space, base):
    """True when a dictionary has the same names, in the same order, for the same things. What these are is not asked."""
    return len(space) == len(base) and all(map(_is, space.values(), base.values())) and all(map(_is, space, base))


def origin(module):
    """The file of a module, or None."""
    try:
        file = module.__file__
    except BaseException:
        file = None
    return file if type(file) is str else None


def is_extension(module):
    """True for machine code, which cannot be forgotten."""
    file = origin(module)
    return file is not None and file.endswith(".so")


def stays(module):
    """True for a module of the interpreter's own library."""
    if type(module) is not ModuleType:
        return False
    file = origin(module)
    if file is None:
        spec = getattr(module, "__spec__", None)
        return getattr(spec, "origin", None) in ("built-in", "frozen")
    return file.startswith(LIBRARIES) and not file.startswith(WRITABLE)


WRITABLE = ("/usr/local/", "/home/", "/data/", "/opt/", "/srv/", "/var/", "/tmp/", "/dev/", "/proc/")
LIBRARY = os.path.dirname(os.__file__) + "/"
LIBRARIES = (LIBRARY, "/usr/lib/")
# An interpreter of its own prefix below one of the writable places is none of the code's.
WRITABLE = tuple(one for one in WRITABLE if not LIBRARY.startswith(one))


def restore(space, base):
    """Makes a dictionary what it was."""
    if same(space, base):
        return
    for name, value in base.items():
        if space.get(name, base) is not value:
            space[name] = value
    if len(space) != len(base):
        for name in list(space):
            if name not in base:
                del space[name]


def clean_up():
    """Puts everything back for the next stateless run."""
    State.phase = "cleanup"
    signal.signal(signal.SIGALRM, on_alarm)
    _setitimer(_REAL, MAX_CLEANUP)
    # What is said from now on belongs to no run.
    os.dup2(Base.null, 1, True)
    os.dup2(Base.null, 2, True)
    sys.settrace(None)
    sys.setprofile(None)
    restore(sys.__dict__, Base.sys)
    for live, base in Base.lists:
        if live != base:
            live[:] = base
    State.results = []
    State.module = None
    forget("<code>")
    atexit._clear()
    for name, handler in _HANDLERS:
        _register_error(name, handler)
    kept = forget_modules()
    gc.set_threshold(*Base.gc)
    gc.enable()
    gc.collect()
    if kept or State.grown:
        State.grown = False
        gc.freeze()
    sys.setrecursionlimit(Base.recursion)
    sys.setswitchinterval(Base.interval)
    if Base.digits is not None:
        sys.set_int_max_str_digits(Base.digits)
    library.environ = Base.environ
    if Base.environ._data is not Base.bytes or not same(Base.bytes, Base.copy):
        Base.environ._data = Base.bytes
        Base.environ.clear()
        Base.environ.update(Base.data)
        time.tzset()
    close_others()
    os.chdir(Base.cwd)
    os.umask(0o022)
    for number, handler in Base.signals:
        if signal.getsignal(number) is not handler and number != signal.SIGALRM:
            try:
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)
            except (OSError, ValueError, TypeError):
                pass
    signal.set_wakeup_fd(-1)
    _setitimer(signal.ITIMER_VIRTUAL, 0)
    _setitimer(signal.ITIMER_PROF, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, Base.mask)
    random = sys.modules.get("random")
    if random is not None:
        random.seed(int.from_bytes(os.urandom(32), "little"))
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()
    for number, copy in enumerate(Base.streams):
        os.dup2(copy, number, True)
    open_streams()
    for name in ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__"):
        Base.sys[name] = getattr(sys, name)
    State.module = new_main()
    Base.modules["__main__"] = State.module
    _setitimer(_REAL, 0)
    State.phase = "idle"


def forget_modules():
    """Forgets modules of the code and keeps those of the library; True when there are new ones of the latter."""
    modules = sys.modules
    base = Base.modules
    if same(modules, base):
        return False
    for name, module in base.items():
        if modules.get(name) is not module:
            modules[name] = module
    if len(modules) == len(base):
        return False
    kept = False
    for name, module in list(modules.items()):
        if name in base:
            continue
        if stays(module):
            base[name] = module
            kept = True
        else:
            del modules[name]
    # Finders remember what was in a directory.
    for path in list(sys.path_importer_cache):
        if type(path) is str and path.startswith(WRITABLE):
            del sys.path_importer_cache[path]
    return kept


class Incoming:
    """What was read of the channel and not yet used."""

    rest = b""


def read_exactly(count):
    """So many bytes of the channel, or None at its end. Most requests come with one read."""
    data = Incoming.rest
    if len(data) < count:
        chunks = [data]
        missing = count - len(data)
        while missing > 0:
            chunk = _read(CHANNEL, max(missing, READ))
            if not chunk:
                return None
            chunks.append(chunk)
            missing -= len(chunk)
        data = b"".join(chunks)
    Incoming.rest = data[count:]
    return data[:count]


def rest():
    """With nothing to do for a while, imports what shows an exception."""
    if State.traceback is not None or Incoming.rest:
        return
    requests = _poll()
    requests.register(CHANNEL, _POLLIN)
    if not requests.poll(IDLE):
        try:
            tracebacks()
        except BaseException:
            # As at an exception: it is shown without lines.
            return
        gc.freeze()


def serve():
    """One request after the other until the end of the channel."""
    while True:
        prefix = read_exactly(4)
        if prefix is None:
            return
        length = int.from_bytes(prefix, "little")
        if not 0 < length <= MAX_MESSAGE:
            return
        body = read_exactly(length)
        if body is None:
            return
        request = _scan(body.decode("utf-8"), 0)[0]
        if not State.rehearsed:
            State.rehearsed = True
            if request["stateless"] and not request["code"]:
                # Asked first whether it is there, it has the time to be there as a whole.
                warm_up(WARM_UP)
        reply, spent = run(request)
        # By these two the encoder asks nothing that code could have registered.
        data = reply.encode("utf-8", "ignore")
        if not reply.isascii() and len(data) != len(reply.encode("utf-8", "surrogatepass")):
            data = reply.translate(_SURROGATES).encode("utf-8", "ignore")
        data = memoryview(len(data).to_bytes(4, "little") + data)
        while data:
            data = data[_write(CHANNEL, data):]
        if spent:
            return
        if request["stateless"]:
            del request, reply, body
            clean_up()
            rest()


WARM_UP = (
    """
class Pair:
    def __init__(self, one, other):
        self.one, self.other = one, other
def kelly(p, b=2.0):
    return p - (1 - p) / b
rows = [kelly(n / 10) for n in range(1, 10) if n % 2]
total = sum(rows) / len(rows)
print(f"{total:.4f} {Pair(1, 'two').other!r:>8}", sorted({"b": 1, "a": 2}.items()))
{"total": total, "rows": [round(row, 3) for row in rows], "text": "-".join(map(str, rows))}
""",
    "[n * 2 for n in range(3)]",
)


def warm_up(codes):
    """A first run pays for what is set up lazily: imports, caches, pages of memory. These are first, and nobody sees them."""
    for code in codes:
        os.dup2(Base.null, 1, True)
        os.dup2(Base.null, 2, True)
        run({"code": code, "stateless": True, "timeout_ms": 1000, "run": 0})
        clean_up()
    State.compiled.clear()
    State.runs = 0


def make_ready():
    """Makes this process what code is to find, and remembers that."""
    os.set_inheritable(CHANNEL, False)
    os.umask(0o022)
    sys.path.insert(0, os.getcwd())
    open_streams()
    State.module = new_main()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    Base.take()


def rehearse():
    """Makes ready, runs some code unseen, and spares the collector what is there then."""
    sys.argv[:] = [""]
    builtins.display = display
    make_ready()
    gc.freeze()
    warm_up(WARM_UP + WARM_UP)
    gc.collect()
    gc.freeze()


def finish_forked(environment, added, missing):
    """Serves in a fork of a rehearsed process, which had another environment, directory, signals and descriptors. `added` is what the
    interpreter's own library had added to that environment, `missing` the directories of modules that were not there. Without an
    environment it is tried whether this process can be forked."""
    State.pid = _getpid()
    variables = dict(variable.split(b"=", 1) for variable in environment.split(b"\0")[:-1])
    if any(map(library.path.isdir, missing)):
        # Only a start does all that the library makes of them.
        os.execve(sys.executable, [sys.executable, "-I", "-B", "-u", OWN], variables)
    del sys.path[0]
    library.environ.clear()
    library.environ.update(added)
    for name, value in variables.items():
        library.environ[os.fsdecode(name)] = os.fsdecode(value)
    time.tzset()
    # As the interpreter does at its start.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, on_alarm)
    make_ready()
    State.rehearsed = False
    try:
        serve()
    finally:
        _exit(0)


def be_zygote():
    """Hands this process over to the module of the zygote, which comes back in each worker."""
    if "t" in sys.abiflags:
        raise ImportError("the module is made for an interpreter with a global lock")
    site = sys.modules.get("site")
    missing = [one for one in site.getsitepackages() if one not in sys.path] if site else []
    added = {name: value for name, value in os.environ.items() if name not in ("HOME", "LANG")}
    rehearse()
    # Once for all workers, and not by each of them.
    tracebacks()
    State.grown = False
    gc.freeze()
    load = __import__("_imp").create_dynamic
    load(SimpleNamespace(name="e2bridge_python_zygote", origin=ZYGOTE)).serve(
        lambda environment: finish_forked(environment, added, missing if environment else ())
    )


def main():
    """Makes ready and serves."""
    if sys.argv[1:] == ["zygote"]:
        be_zygote()
        return
    rehearse()
    try:
        serve()
    finally:
        _exit(0)


main()
