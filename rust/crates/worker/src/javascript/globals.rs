//! What a realm has beside the language: console, timers, text coding, random numbers, and files as `e2b`.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rquickjs::function::{Opt, Rest};
use rquickjs::object::Filter;
use rquickjs::prelude::Func;
use rquickjs::{Ctx, Exception, Function, Object, Persistent, TypedArray, Value, qjs};

use super::realm::{State, Timer};
use super::text;

const PRELUDE: &str = include_str!("prelude.js");
/// Most bytes of `crypto.getRandomValues`, as the standard has it.
const MAX_RANDOM: usize = 65_536;
/// Most timers that are set at once.
const MAX_TIMERS: usize = 100_000;
/// Longest file that is read.
const MAX_FILE: u64 = 256 * 1024 * 1024;
/// Longest delay of a timer; longer ones fire at once, as in Node and browsers.
const MAX_DELAY_MS: f64 = 2_147_483_647.0;

/// Defines everything in a fresh realm.
///
/// # Errors
/// When memory is short.
pub(super) fn define<'js>(ctx: &Ctx<'js>, state: &Rc<State>) -> rquickjs::Result<()> {
    let globals = ctx.globals();
    let names = || globals.own_keys::<String>(Filter::new().string()).flatten();
    let language: HashSet<String> = names().collect();
    console(ctx, state)?;
    timers(ctx, state)?;
    random(ctx)?;
    files(ctx)?;
    let shown = Rc::clone(state);
    let display = move |ctx: Ctx<'js>, values: Rest<Value<'js>>| {
        for value in values.0 {
            shown.display(&ctx, &value, false);
        }
    };
    hidden(&globals, "display", Function::new(ctx.clone(), display)?.with_name("display")?)?;
    let native = Object::new(ctx.clone())?;
    native.set(
        "encode",
        Func::from(|ctx: Ctx<'js>, value: Value<'js>| {
            TypedArray::<u8>::new(
                ctx.clone(),
                text::of_primitive(&ctx, &value).unwrap_or_default().into_bytes(),
            )
        }),
    )?;
    native.set("decode", Func::from(decode))?;
    let prelude = prelude(ctx)?.into_function().ok_or(rquickjs::Error::Unknown)?;
    let added: Vec<String> = names().filter(|name| !language.contains(name)).collect();
    let held = prelude.call::<_, Value<'js>>((native, added))?;
    state.hold(ctx, held);
    Ok(())
}

thread_local! {
    /// The prelude compiled, for parsing it takes longer than all else in a new realm.
    static COMPILED: std::cell::OnceCell<Vec<u8>> = const { std::cell::OnceCell::new() };
}

/// The function of the prelude.
fn prelude<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
    let raw = ctx.as_raw().as_ptr();
    COMPILED.with(|compiled| {
        if compiled.get().is_none() {
            let flags = qjs::JS_EVAL_TYPE_GLOBAL | qjs::JS_EVAL_FLAG_COMPILE_ONLY;
            let source = std::ffi::CString::new(PRELUDE).map_err(|_| rquickjs::Error::Unknown)?;
            let strip = qjs::JS_WRITE_OBJ_BYTECODE | qjs::JS_WRITE_OBJ_STRIP_SOURCE;
            let mut length = 0;
            // SAFETY: the context is alive, the source and the name are C strings; the function is wrapped once and outlives its
            // use, and the bytes written are copied before they are freed.
            let bytes = unsafe {
                let function = qjs::JS_Eval(
                    raw,
                    source.as_ptr(),
                    PRELUDE.len() as _,
                    c"prelude.js".as_ptr(),
                    flags as _,
                );
                let function = Value::from_raw(ctx.clone(), function);
                let bytes = qjs::JS_WriteObject(raw, &raw mut length, function.as_raw(), strip as _);
                if bytes.is_null() {
                    return Err(rquickjs::Error::Exception);
                }
                let copy = std::slice::from_raw_parts(bytes, to_usize(length)).to_vec();
                qjs::js_free(raw, bytes.cast());
                copy
            };
            let _ = compiled.set(bytes);
        }
        let bytes = compiled.get().map(Vec::as_slice).unwrap_or_default();
        // SAFETY: the context is alive, and the bytes are what this program's own engine has written; what is read is evaluated
        // at once, which takes it over, and the value is wrapped once.
        let value = unsafe {
            let function =
                qjs::JS_ReadObject(raw, bytes.as_ptr(), bytes.len() as _, qjs::JS_READ_OBJ_BYTECODE as _);
            Value::from_raw(ctx.clone(), qjs::JS_EvalFunction(raw, function))
        };
        if value.is_exception() { Err(rquickjs::Error::Exception) } else { Ok(value) }
    })
}

/// Defines a property that enumeration skips, as built-in functions are.
fn hidden<'js>(object: &Object<'js>, name: &str, value: impl rquickjs::IntoJs<'js>) -> rquickjs::Result<()> {
    object.prop(name, rquickjs::object::Property::from(value).writable().configurable())
}

fn decode<'js>(ctx: Ctx<'js>, bytes: TypedArray<'js, u8>, fatal: bool) -> rquickjs::Result<String> {
    // SAFETY: no script runs, and so changes or detaches the buffer, before the bytes are copied.
    let bytes = unsafe { bytes.as_bytes() }.unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) if fatal => Err(Exception::throw_type(&ctx, "the encoded data was not valid utf-8")),
        Err(_) => Ok(String::from_utf8_lossy(bytes).into_owned()),
    }
}

fn console<'js>(ctx: &Ctx<'js>, state: &Rc<State>) -> rquickjs::Result<()> {
    let globals = ctx.globals();
    let console = Object::new(ctx.clone())?;
    let printer = |to_stderr: bool, name: &str| {
        let state = Rc::clone(state);
        let print = move |ctx: Ctx<'js>, values: Rest<Value<'js>>| {
            let line = format(&ctx, &state, &values.0);
            print_line(&state, to_stderr, &line);
        };
        Function::new(ctx.clone(), print)?.with_name(name)
    };
    for (name, to_stderr) in
        [("log", false), ("info", false), ("debug", false), ("table", false), ("warn", true), ("error", true)]
    {
        console.set(name, printer(to_stderr, name)?)?;
    }
    let shared = Rc::clone(state);
    console.set(
        "dir",
        Func::from(move |ctx: Ctx<'js>, value: Value<'js>| {
            print_line(&shared, false, &shared.inspect(&ctx, &value));
        }),
    )?;
    let shared = Rc::clone(state);
    console.set(
        "trace",
        Func::from(move |ctx: Ctx<'js>, values: Rest<Value<'js>>| -> rquickjs::Result<()> {
            let stack = Exception::from_message(ctx.clone(), "")?.stack().unwrap_or_default();
            let said = format(&ctx, &shared, &values.0);
            let line = if said.is_empty() { "Trace".to_owned() } else { format!("Trace: {said}") };
            print_line(&shared, true, &format!("{line}\n{}", stack.trim_end()));
            Ok(())
        }),
    )?;
    let shared = Rc::clone(state);
    console.set(
        "assert",
        Func::from(
            move |ctx: Ctx<'js>, held: Opt<Value<'js>>, values: Rest<Value<'js>>| -> rquickjs::Result<()> {
                let held = held.0.is_some_and(|held| truthy(&ctx, &held));
                if !held {
                    let said = format(&ctx, &shared, &values.0);
                    print_line(
                        &shared,
                        true,
                        &if said.is_empty() {
                            "Assertion failed".to_owned()
                        } else {
                            format!("Assertion failed: {said}")
                        },
                    );
                }
                Ok(())
            },
        ),
    )?;
    let shared = Rc::clone(state);
    console.set(
        "group",
        Func::from(move |ctx: Ctx<'js>, values: Rest<Value<'js>>| {
            if !values.0.is_empty() {
                print_line(&shared, false, &format(&ctx, &shared, &values.0));
            }
            shared.indentation.set((shared.indentation.get() + 2).min(200));
        }),
    )?;
    let shared = Rc::clone(state);
    console.set(
        "groupEnd",
        Func::from(move || shared.indentation.set(shared.indentation.get().saturating_sub(2))),
    )?;
    let shared = Rc::clone(state);
    console.set(
        "count",
        Func::from(move |ctx: Ctx<'js>, label: Opt<Value<'js>>| {
            let label = label_of(&ctx, &shared, label.0);
            let mut counters = shared.counters.borrow_mut();
            if counters.len() >= MAX_TIMERS {
                counters.clear();
            }
            let count = counters.entry(label.clone()).or_default();
            *count += 1;
            let line = format!("{label}: {count}");
            drop(counters);
            print_line(&shared, false, &line);
        }),
    )?;
    let shared = Rc::clone(state);
    console.set(
        "time",
        Func::from(move |ctx: Ctx<'js>, label: Opt<Value<'js>>| {
            let label = label_of(&ctx, &shared, label.0);
            let mut clocks = shared.clocks.borrow_mut();
            if clocks.len() >= MAX_TIMERS {
                clocks.clear();
            }
            clocks.insert(label, Instant::now());
        }),
    )?;
    for (name, ends) in [("timeEnd", true), ("timeLog", false)] {
        let shared = Rc::clone(state);
        console.set(
            name,
            Func::from(move |ctx: Ctx<'js>, label: Opt<Value<'js>>| {
                let label = label_of(&ctx, &shared, label.0);
                let started = if ends {
                    shared.clocks.borrow_mut().remove(&label)
                } else {
                    shared.clocks.borrow().get(&label).copied()
                };
                if let Some(started) = started {
                    print_line(
                        &shared,
                        false,
                        &format!("{label}: {:.3}ms", started.elapsed().as_secs_f64() * 1e3),
                    );
                }
            }),
        )?;
    }
    hidden(&globals, "console", console)?;
    hidden(&globals, "print", printer(false, "print")?)
}

fn label_of<'js>(ctx: &Ctx<'js>, state: &State, label: Option<Value<'js>>) -> String {
    label
        .filter(|label| !label.is_undefined())
        .map_or_else(|| "default".to_owned(), |label| state.display_text(ctx, &label))
}

fn truthy<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> bool {
    // SAFETY: the context is alive and the value belongs to its runtime; the conversion runs no script.
    unsafe { qjs::JS_ToBool(ctx.as_raw().as_ptr(), value.as_raw()) > 0 }
}

fn print_line(state: &State, to_stderr: bool, line: &str) {
    let mut output = state.output.borrow_mut();
    let indentation = state.indentation.get();
    if indentation == 0 {
        output.print(to_stderr, line);
    } else {
        let indent = " ".repeat(indentation);
        output.print(to_stderr, &indent);
        output.print(to_stderr, &line.replace('\n', &format!("\n{indent}")));
    }
    output.print(to_stderr, "\n");
}

/// The arguments of `console.log` as one text: the place holders of a first string filled in, the rest behind it.
fn format<'js>(ctx: &Ctx<'js>, state: &State, values: &[Value<'js>]) -> String {
    let mut line = String::new();
    let mut rest = values.iter();
    if values.len() > 1
        && values[0].is_string()
        && let Some(pattern) = text::of_primitive(ctx, &values[0])
    {
        rest.next();
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                line.push(character);
                continue;
            }
            let mut ahead = characters.clone();
            let kind = ahead.next();
            match kind {
                Some('%') => line.push('%'),
                Some('s' | 'd' | 'i' | 'f' | 'j' | 'o' | 'O' | 'c') => match rest.next() {
                    Some(value) => line.push_str(&placed(ctx, state, kind.unwrap_or('s'), value)),
                    None => {
                        line.push('%');
                        continue;
                    }
                },
                _ => {
                    line.push('%');
                    continue;
                }
            }
            characters = ahead;
        }
        if rest.len() > 0 {
            line.push(' ');
        }
    }
    for (index, value) in rest.enumerate() {
        if index > 0 {
            line.push(' ');
        }
        line.push_str(&state.display_text(ctx, value));
    }
    line
}

fn placed<'js>(ctx: &Ctx<'js>, state: &State, kind: char, value: &Value<'js>) -> String {
    let number = || {
        text::of_primitive(ctx, value)
            .and_then(|text| text.trim().parse::<f64>().ok())
            .or_else(|| value.as_bool().map(f64::from))
    };
    match kind {
        'd' if value.is_big_int() => state.inspect(ctx, value),
        'd' | 'f' => number().map_or_else(|| "NaN".to_owned(), |number| number.to_string()),
        'i' if value.is_big_int() => state.inspect(ctx, value),
        'i' => number().map_or_else(|| "NaN".to_owned(), |number| number.trunc().to_string()),
        'j' => super::json::stringify(ctx, value, super::output::MAX_JSON)
            .unwrap_or_else(|| "undefined".to_owned()),
        'c' => String::new(),
        'o' | 'O' => state.inspect(ctx, value),
        _ => state.display_text(ctx, value),
    }
}

fn timers<'js>(ctx: &Ctx<'js>, state: &Rc<State>) -> rquickjs::Result<()> {
    let globals = ctx.globals();
    for (name, repeats) in [("setTimeout", false), ("setInterval", true), ("setImmediate", false)] {
        let shared = Rc::clone(state);
        let immediate = name == "setImmediate";
        let set = move |ctx: Ctx<'js>,
                        callback: Value<'js>,
                        rest: Rest<Value<'js>>|
              -> rquickjs::Result<u32> {
            let Some(callback) = callback.into_function() else {
                return Err(Exception::throw_type(&ctx, "the callback must be a function"));
            };
            if shared.timers.borrow().len() >= MAX_TIMERS {
                return Err(Exception::throw_range(&ctx, "too many timers"));
            }
            let mut arguments = rest.0.into_iter();
            let delay = if immediate { None } else { arguments.next() };
            let delay = delay
                .and_then(|delay| delay.as_number())
                .filter(|delay| (1.0..=MAX_DELAY_MS).contains(delay));
            // As in Node, a delay is at least 1 ms; what is to happen at once stays in order.
            let delay =
                if immediate { Duration::ZERO } else { Duration::from_secs_f64(delay.unwrap_or(1.0) / 1e3) };
            let number = shared.last_timer.get().wrapping_add(1).max(1);
            shared.last_timer.set(number);
            let timer = Timer {
                callback: Persistent::save(&ctx, callback),
                arguments: arguments.map(|one| Persistent::save(&ctx, one)).collect(),
                interval: repeats.then_some(delay),
            };
            shared.timers.borrow_mut().insert((Instant::now() + delay, number), timer);
            Ok(number)
        };
        hidden(&globals, name, Function::new(ctx.clone(), set)?.with_name(name)?)?;
    }
    for name in ["clearTimeout", "clearInterval", "clearImmediate"] {
        let shared = Rc::clone(state);
        let clear = move |number: Opt<Value<'js>>| {
            let number = number.0.and_then(|number| number.as_number());
            // Dropped after the borrow has ended: freeing a callback may run nothing, but holds on to nothing either.
            let removed: Vec<_> = shared
                .timers
                .borrow_mut()
                .extract_if(.., |(_, one), _| Some(f64::from(*one)) == number)
                .collect();
            drop(removed);
        };
        hidden(&globals, name, Function::new(ctx.clone(), clear)?.with_name(name)?)?;
    }
    Ok(())
}

thread_local! {
    /// State of `Math.random`: xoshiro256++.
    static RANDOM: std::cell::Cell<[u64; 4]> = const { std::cell::Cell::new([1, 2, 3, 4]) };
}

/// Gives `Math.random` a state of its own. To be called in each process: forked ones share what they inherit.
///
/// # Errors
/// When the kernel gives no random bytes.
pub(super) fn seed() -> io::Result<()> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    let mut state = [0; 4];
    for (word, chunk) in state.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    // The state must not be all zeros.
    state[0] |= 1;
    RANDOM.set(state);
    Ok(())
}

fn next_random() -> f64 {
    let mut state = RANDOM.get();
    let result = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
    let shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = state[3].rotate_left(45);
    RANDOM.set(state);
    // The upper 53 bits, the precision of a double.
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    let fraction = (result >> 11) as f64;
    fraction / 9_007_199_254_740_992.0
}

/// As a plain C function: the engine's wrapper of closures costs several times as much, and simulations call this most.
unsafe extern "C" fn math_random(
    _ctx: *mut qjs::JSContext,
    _this: qjs::JSValue,
    _argc: std::ffi::c_int,
    _argv: *mut qjs::JSValue,
) -> qjs::JSValue {
    qjs::__JS_NewFloat64(next_random())
}

fn random(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let globals = ctx.globals();
    let math: Object<'_> = globals.get("Math")?;
    // SAFETY: the context is alive, the name is a C string, the function has the signature of the generic kind; the answer is a
    // reference of our own.
    let function = unsafe {
        let function = qjs::JS_NewCFunction2(
            ctx.as_raw().as_ptr(),
            Some(math_random),
            c"random".as_ptr(),
            0,
            qjs::JSCFunctionEnum_JS_CFUNC_generic,
            0,
        );
        Value::from_raw(ctx.clone(), function)
    };
    hidden(&math, "random", function)?;
    let crypto = Object::new(ctx.clone())?;
    crypto.set("getRandomValues", Func::from(fill_random))?;
    crypto.set("randomUUID", Func::from(random_uuid))?;
    hidden(&globals, "crypto", crypto)
}

fn fill_random<'js>(ctx: Ctx<'js>, array: Value<'js>) -> rquickjs::Result<Value<'js>> {
    let raw = ctx.as_raw().as_ptr();
    // SAFETY: the value belongs to the context's runtime.
    let kind = unsafe { qjs::JS_GetTypedArrayType(array.as_raw()) };
    if kind < 0 || kind >= qjs::JSTypedArrayEnum_JS_TYPED_ARRAY_FLOAT16 as i32 {
        return Err(Exception::throw_type(&ctx, "an array of integers is due"));
    }
    let (mut offset, mut length, mut each) = (0, 0, 0);
    // SAFETY: the context is alive, the value a typed array, the out-parameters are valid; the answer is a reference of our own.
    let buffer = unsafe {
        let buffer =
            qjs::JS_GetTypedArrayBuffer(raw, array.as_raw(), &raw mut offset, &raw mut length, &raw mut each);
        Value::from_raw(ctx.clone(), buffer)
    };
    if buffer.is_exception() {
        return Err(rquickjs::Error::Exception);
    }
    let mut size = 0;
    // SAFETY: as above.
    let bytes = unsafe { qjs::JS_GetArrayBuffer(raw, &raw mut size, buffer.as_raw()) };
    let (offset, length, size) = (to_usize(offset), to_usize(length), to_usize(size));
    if length > MAX_RANDOM {
        return Err(Exception::throw_range(&ctx, "at most 65,536 bytes at a time"));
    }
    if length == 0 {
        return Ok(array);
    }
    if bytes.is_null() || offset.checked_add(length).is_none_or(|end| end > size) {
        return Err(Exception::throw_type(&ctx, "the buffer of the array is gone"));
    }
    // SAFETY: `offset + length` lies within the `size` bytes of the buffer, and no script runs meanwhile.
    let target = unsafe { std::slice::from_raw_parts_mut(bytes.add(offset), length) };
    getrandom::fill(target).map_err(|error| Exception::throw_message(&ctx, &error.to_string()))?;
    Ok(array)
}

fn to_usize(size: qjs::size_t) -> usize {
    usize::try_from(size).unwrap_or(0)
}

fn random_uuid(ctx: Ctx<'_>) -> rquickjs::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| Exception::throw_message(&ctx, &error.to_string()))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

fn files<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<()> {
    let files = Object::new(ctx.clone())?;
    files.set("readTextFile", Function::new(ctx.clone(), read_text_file)?.with_name("readTextFile")?)?;
    files.set("writeTextFile", Function::new(ctx.clone(), write_text_file)?.with_name("writeTextFile")?)?;
    files.set("listDirectory", Function::new(ctx.clone(), list_directory)?.with_name("listDirectory")?)?;
    // Read when asked for: a realm that was made before a fork knows nothing of the environment behind it.
    let environment = rquickjs::object::Accessor::from(|ctx: Ctx<'js>| -> rquickjs::Result<Object<'js>> {
        let env = Object::new(ctx)?;
        for (name, value) in std::env::vars_os() {
            env.set(name.to_string_lossy().as_ref(), value.to_string_lossy().as_ref())?;
        }
        Ok(env)
    });
    files.prop("env", environment.enumerable().configurable())?;
    hidden(&ctx.globals(), "e2b", files)
}

/// The error of a file operation as Node words it, with `code` and `path`.
fn file_error(ctx: &Ctx<'_>, error: &io::Error, call: &str, path: &str) -> rquickjs::Error {
    let code = error.raw_os_error().map_or("EIO", error_name);
    let words = error.to_string();
    let words = words.split(" (os error").next().unwrap_or_default().to_lowercase();
    let built = Exception::from_message(ctx.clone(), &format!("{code}: {words}, {call} '{path}'")).and_then(
        |exception| {
            exception.as_object().set("code", code)?;
            exception.as_object().set("path", path)?;
            Ok(exception)
        },
    );
    match built {
        Ok(exception) => exception.throw(),
        Err(error) => error,
    }
}

fn error_name(code: i32) -> &'static str {
    match code {
        libc::ENOENT => "ENOENT",
        libc::EACCES => "EACCES",
        libc::EPERM => "EPERM",
        libc::EISDIR => "EISDIR",
        libc::ENOTDIR => "ENOTDIR",
        libc::EEXIST => "EEXIST",
        libc::EINVAL => "EINVAL",
        libc::EFBIG => "EFBIG",
        libc::ENOSPC => "ENOSPC",
        libc::EROFS => "EROFS",
        libc::ENAMETOOLONG => "ENAMETOOLONG",
        libc::ELOOP => "ELOOP",
        libc::ENXIO => "ENXIO",
        libc::EMFILE => "EMFILE",
        libc::EDQUOT => "EDQUOT",
        _ => "EIO",
    }
}

/// Opens a regular file. Neither a fifo nor a device is waited for or read.
fn open_regular(options: &mut OpenOptions, path: &str) -> io::Result<fs::File> {
    let file = options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    if !kind.is_file() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    Ok(file)
}

fn read_text_file(ctx: Ctx<'_>, path: String) -> rquickjs::Result<String> {
    let read = || -> io::Result<Vec<u8>> {
        let file = open_regular(OpenOptions::new().read(true), &path)?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        }
        Ok(bytes)
    };
    let bytes = read().map_err(|error| file_error(&ctx, &error, "open", &path))?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

fn write_text_file<'js>(ctx: Ctx<'js>, path: String, content: Value<'js>) -> rquickjs::Result<()> {
    let Some(content) = text::of_primitive(&ctx, &content) else {
        return Err(Exception::throw_type(&ctx, "the content must be a string"));
    };
    let write = || -> io::Result<()> {
        // Cut to length only once it is known to be a regular file.
        let mut file = open_regular(OpenOptions::new().write(true).create(true).truncate(false), &path)?;
        file.set_len(0)?;
        file.write_all(content.as_bytes())
    };
    write().map_err(|error| file_error(&ctx, &error, "open", &path))
}

fn list_directory(ctx: Ctx<'_>, path: Opt<String>) -> rquickjs::Result<Vec<String>> {
    let path = path.0.unwrap_or_else(|| ".".to_owned());
    let list = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    };
    list().map_err(|error| file_error(&ctx, &error, "scandir", &path))
}
