//! A runtime with one realm, and a run in it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use e2bridge_protocol::worker::{WorkerCall, WorkerRequest};
use rquickjs::function::This;
use rquickjs::promise::PromiseState;
use rquickjs::{Context, Ctx, Function, Object, Persistent, Promise, Runtime, Value, qjs};

use super::image::Image;
use super::output::{Displayed, MAX_JSON, Output};
use super::{globals, inspect, json, text};

/// What the engine may use of the stack.
const STACK_BYTES: usize = 2 * 1024 * 1024;
/// Most that the message and the stack of an error may take in a reply's JSON, each.
const MAX_ERROR_JSON: usize = 1024 * 1024;
/// Most that the result may take there.
const MAX_RESULT_JSON: usize = 12 * 1024 * 1024;
/// Name of the code in stacks.
const FILE_NAME: &CStr = c"code.js";
/// Bytes at which garbage is collected for the first time: a fresh realm has a quarter.
const FIRST_COLLECTION: usize = 1024 * 1024;
/// Jobs between two looks at the clock.
const JOBS_PER_LOOK: u32 = 64;
/// Most members of a collection that are looked at for showing it.
const MAX_MEMBERS: usize = 100;

/// How a run ended.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) dropped_bytes: u64,
    pub(super) result: Option<String>,
    pub(super) results: Vec<Displayed>,
    pub(super) error: Option<Failure>,
    pub(super) timed_out: bool,
    pub(super) out_of_memory: bool,
}

/// An exception.
pub(super) struct Failure {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) traceback: String,
}

impl Failure {
    fn own(name: &str, value: &str) -> Failure {
        Failure { name: name.to_owned(), value: value.to_owned(), traceback: format!("{name}: {value}") }
    }
}

/// A timer that is set.
pub(super) struct Timer {
    pub(super) callback: Persistent<Function<'static>>,
    pub(super) arguments: Vec<Persistent<Value<'static>>>,
    /// Of `setInterval`.
    pub(super) interval: Option<Duration>,
}

/// What the functions of a realm share. Values of the engine in here are let go by [`State::release`] before the runtime is.
#[derive(Default)]
pub(super) struct State {
    pub(super) output: RefCell<Output>,
    /// By time due, then by number.
    pub(super) timers: RefCell<BTreeMap<(Instant, u32), Timer>>,
    pub(super) last_timer: Cell<u32>,
    /// Rejected promises that nothing handles, with their reasons.
    rejections: RefCell<Vec<(Persistent<Value<'static>>, Persistent<Value<'static>>)>>,
    intrinsics: RefCell<Option<Rc<Intrinsics>>>,
    /// What must not be destroyed, whatever code does.
    held: RefCell<Option<Persistent<Value<'static>>>>,
    deadline: Cell<Option<Instant>>,
    timed_out: Cell<bool>,
    /// Of `console.group`.
    pub(super) indentation: Cell<usize>,
    pub(super) counters: RefCell<BTreeMap<String, u64>>,
    pub(super) clocks: RefCell<BTreeMap<String, Instant>>,
}

impl State {
    fn begin(&self, request: &WorkerRequest) {
        self.release_run();
        *self.output.borrow_mut() = Output::new(request.max_output_bytes);
        self.deadline.set(Instant::now().checked_add(Duration::from_millis(request.timeout_ms.max(1))));
        self.timed_out.set(false);
        self.indentation.set(0);
    }

    fn release_run(&self) {
        self.timers.borrow_mut().clear();
        self.rejections.borrow_mut().clear();
    }

    fn release(&self) {
        self.release_run();
        self.intrinsics.borrow_mut().take();
        self.held.borrow_mut().take();
    }

    /// Keeps a value as long as the realm.
    pub(super) fn hold<'js>(&self, ctx: &Ctx<'js>, value: Value<'js>) {
        *self.held.borrow_mut() = Some(Persistent::save(ctx, value));
    }

    /// True from the deadline on.
    fn is_over(&self) -> bool {
        if !self.timed_out.get() && self.deadline.get().is_some_and(|deadline| Instant::now() >= deadline) {
            self.timed_out.set(true);
        }
        self.timed_out.get()
    }

    pub(super) fn intrinsics(&self) -> Option<Rc<Intrinsics>> {
        self.intrinsics.borrow().clone()
    }

    /// The text of a value on its own: a string as it is, everything else inspected.
    pub(super) fn display_text<'js>(&self, ctx: &Ctx<'js>, value: &Value<'js>) -> String {
        self.intrinsics().map_or_else(String::new, |intrinsics| inspect::display(ctx, &intrinsics, value))
    }

    pub(super) fn inspect<'js>(&self, ctx: &Ctx<'js>, value: &Value<'js>) -> String {
        self.intrinsics().map_or_else(String::new, |intrinsics| inspect::inspect(ctx, &intrinsics, value))
    }

    /// Adds a rich result.
    pub(super) fn display<'js>(&self, ctx: &Ctx<'js>, value: &Value<'js>, is_main_result: bool) -> String {
        let text = self.display_text(ctx, value);
        let json = json::stringify(ctx, value, MAX_JSON);
        self.output.borrow_mut().display(&text, json, is_main_result);
        text
    }
}

/// Functions of a fresh realm that showing values needs, taken before a script could replace them.
pub(super) struct Intrinsics {
    map_for_each: Persistent<Function<'static>>,
    set_for_each: Persistent<Function<'static>>,
    date_to_iso: Persistent<Function<'static>>,
    date_value: Persistent<Function<'static>>,
    regexp_to_string: Persistent<Function<'static>>,
    function_to_string: Persistent<Function<'static>>,
    unboxing: Vec<(&'static str, Persistent<Function<'static>>)>,
}

impl Intrinsics {
    fn take(ctx: &Ctx<'_>) -> rquickjs::Result<Intrinsics> {
        let method = |class: &str, name: &str| -> rquickjs::Result<Persistent<Function<'static>>> {
            let constructor: Object<'_> = ctx.globals().get(class)?;
            let prototype: Object<'_> = constructor.get("prototype")?;
            Ok(Persistent::save(ctx, prototype.get::<_, Function<'_>>(name)?))
        };
        let mut unboxing = Vec::new();
        for class in ["Number", "String", "Boolean", "Symbol", "BigInt"] {
            unboxing.push((class, method(class, "valueOf")?));
        }
        Ok(Intrinsics {
            map_for_each: method("Map", "forEach")?,
            set_for_each: method("Set", "forEach")?,
            date_to_iso: method("Date", "toISOString")?,
            date_value: method("Date", "getTime")?,
            regexp_to_string: method("RegExp", "toString")?,
            function_to_string: method("Function", "toString")?,
            unboxing,
        })
    }

    fn call<'js>(
        ctx: &Ctx<'js>,
        function: &Persistent<Function<'static>>,
        this: &Value<'js>,
    ) -> Option<Value<'js>> {
        let result = function.clone().restore(ctx).and_then(|function| function.call((This(this.clone()),)));
        if result.is_err() {
            drop(ctx.catch());
        }
        result.ok()
    }

    fn text<'js>(
        ctx: &Ctx<'js>,
        function: &Persistent<Function<'static>>,
        this: &Value<'js>,
    ) -> Option<String> {
        Intrinsics::call(ctx, function, this)
            .filter(Value::is_string)
            .and_then(|value| text::of_primitive(ctx, &value))
    }

    fn members<'js>(
        ctx: &Ctx<'js>,
        for_each: &Persistent<Function<'static>>,
        this: &Value<'js>,
    ) -> (usize, Vec<(Value<'js>, Value<'js>)>) {
        let found = Rc::new(RefCell::new((0, Vec::new())));
        let sink = Rc::clone(&found);
        let visit = Function::new(ctx.clone(), move |member: Value<'js>, key: Value<'js>| {
            let mut found = sink.borrow_mut();
            found.0 += 1;
            if found.1.len() < MAX_MEMBERS {
                found.1.push((key, member));
            }
        });
        let result =
            visit.and_then(|visit| for_each.clone().restore(ctx)?.call::<_, ()>((This(this.clone()), visit)));
        if result.is_err() {
            drop(ctx.catch());
        }
        found.take()
    }

    /// Size and first entries.
    pub(super) fn map_entries<'js>(
        &self,
        ctx: &Ctx<'js>,
        map: &Value<'js>,
    ) -> (usize, Vec<(Value<'js>, Value<'js>)>) {
        Intrinsics::members(ctx, &self.map_for_each, map)
    }

    /// Size and first members.
    pub(super) fn set_members<'js>(&self, ctx: &Ctx<'js>, set: &Value<'js>) -> (usize, Vec<Value<'js>>) {
        let (size, members) = Intrinsics::members(ctx, &self.set_for_each, set);
        (size, members.into_iter().map(|(key, _)| key).collect())
    }

    pub(super) fn date_text<'js>(&self, ctx: &Ctx<'js>, date: &Value<'js>) -> String {
        let valid = Intrinsics::call(ctx, &self.date_value, date)
            .and_then(|value| value.as_number())
            .is_some_and(f64::is_finite);
        let text = if valid { Intrinsics::text(ctx, &self.date_to_iso, date) } else { None };
        text.unwrap_or_else(|| "Invalid Date".to_owned())
    }

    pub(super) fn regexp_text<'js>(&self, ctx: &Ctx<'js>, regexp: &Value<'js>) -> String {
        Intrinsics::text(ctx, &self.regexp_to_string, regexp).unwrap_or_else(|| "[RegExp]".to_owned())
    }

    pub(super) fn function_source<'js>(&self, ctx: &Ctx<'js>, function: &Value<'js>) -> String {
        Intrinsics::text(ctx, &self.function_to_string, function).unwrap_or_default()
    }

    /// The primitive inside `new Number(1)` and the like.
    pub(super) fn unboxed<'js>(
        &self,
        ctx: &Ctx<'js>,
        object: &Value<'js>,
        class: &str,
    ) -> Option<Value<'js>> {
        let (_, value_of) = self.unboxing.iter().find(|(name, _)| *name == class)?;
        Intrinsics::call(ctx, value_of, object).filter(|value| !value.is_object())
    }
}

/// What became of a piece of code.
enum End<'js> {
    Value(Value<'js>),
    Thrown(Value<'js>),
    /// Nothing is left that could settle what is awaited.
    Stalled,
    TimedOut,
}

/// A runtime of its own with one realm.
pub(super) struct Realm {
    // In this order: the context goes before its runtime.
    context: Context,
    runtime: Runtime,
    state: Rc<State>,
    image: Image,
}

impl Drop for Realm {
    fn drop(&mut self) {
        self.state.release();
        self.runtime.set_host_promise_rejection_tracker(None);
    }
}

impl Realm {
    /// # Errors
    /// When memory is short.
    pub(super) fn new() -> rquickjs::Result<Realm> {
        let mut image = Image::new().ok_or(rquickjs::Error::Allocation)?;
        let runtime = Runtime::new_with_alloc(image.clone())?;
        runtime.set_max_stack_size(STACK_BYTES);
        runtime.set_gc_threshold(FIRST_COLLECTION);
        let context = Context::full(&runtime)?;
        let state = Rc::new(State::default());
        context.with(|ctx| -> rquickjs::Result<()> {
            *state.intrinsics.borrow_mut() = Some(Rc::new(Intrinsics::take(&ctx)?));
            globals::define(&ctx, &state)
        })?;
        let watched = Rc::clone(&state);
        runtime.set_interrupt_handler(Some(Box::new(move || watched.is_over())));
        let told = Rc::clone(&state);
        runtime.set_host_promise_rejection_tracker(Some(Box::new(
            move |ctx, promise, reason, is_handled| {
                let promise = Persistent::save(&ctx, promise);
                let mut rejections = told.rejections.borrow_mut();
                if is_handled {
                    rejections.retain(|(known, _)| *known != promise);
                } else {
                    rejections.push((promise, Persistent::save(&ctx, reason)));
                }
            },
        )));
        image.take().ok_or(rquickjs::Error::Allocation)?;
        Ok(Realm { context, runtime, state, image })
    }

    /// Whether processes that are forked from now on have it.
    pub(super) fn inherit(&mut self, inherited: bool) -> bool {
        self.image.inherit(inherited)
    }

    /// Makes it as fresh as a new one. Not after a run that was torn out of the middle of its work.
    pub(super) fn renew(&mut self) {
        self.state.release_run();
        self.state.last_timer.set(0);
        self.state.counters.borrow_mut().clear();
        self.state.clocks.borrow_mut().clear();
        // SAFETY: no code runs, and what runs have left outside (timers, rejections) is released. Of what was in the image nothing
        // was destroyed that has a destructor here, the functions written in Rust: all of it is held.
        unsafe { self.image.restore() };
    }

    /// Runs code, then what it has queued, until nothing is left to do or the time is over.
    pub(super) fn run(&self, request: &WorkerRequest) -> Outcome {
        let limit = request.memory_bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
        self.runtime.set_memory_limit(limit);
        // SAFETY: the runtime is alive and used by this thread alone. The stack may start elsewhere than where the runtime was
        // made: in another function, or in the process that this one was forked from.
        unsafe { qjs::JS_UpdateStackTop(self.context.get_runtime_ptr()) };
        self.state.begin(request);
        let mut outcome = self.context.with(|ctx| self.run_in(&ctx, request));
        self.state.release_run();
        let mut output = self.state.output.take();
        if let Some(error) = &mut outcome.error {
            error.value = output.cut(&error.value, MAX_ERROR_JSON);
            error.traceback = output.cut(&error.traceback, MAX_ERROR_JSON);
            error.name = output.cut(&error.name, MAX_ERROR_JSON);
        }
        if let Some(result) = &outcome.result {
            outcome.result = Some(output.cut(result, MAX_RESULT_JSON));
        }
        outcome.stdout = output.stdout.kept;
        outcome.stderr = output.stderr.kept;
        outcome.dropped_bytes = output.dropped_bytes;
        outcome.results = output.results;
        outcome
    }

    fn run_in(&self, ctx: &Ctx<'_>, request: &WorkerRequest) -> Outcome {
        let mut end = self.evaluate(ctx, &request.code);
        if let (Some(call), End::Value(_)) = (&request.call, &end) {
            end = self.call(ctx, call);
        }
        let mut outcome = Outcome::default();
        match end {
            _ if self.state.timed_out.get() => {}
            End::TimedOut => {}
            End::Value(value) if request.call.is_some() => {
                match text::of_primitive(ctx, &value).filter(|_| value.is_string()) {
                    Some(text) => outcome.result = Some(text),
                    None => {
                        let function = request.call.as_ref().map_or("", |call| call.function.as_str());
                        outcome.error =
                            Some(Failure::own("TypeError", &format!("{function} did not return a string")));
                    }
                }
            }
            End::Value(value) if value.is_undefined() => {}
            End::Value(value) => outcome.result = Some(self.state.display(ctx, &value, true)),
            End::Thrown(thrown) => outcome.error = Some(self.failure(ctx, &thrown)),
            End::Stalled => {
                outcome.error =
                    Some(Failure::own("Error", "the code awaits a promise that nothing is left to settle"));
            }
        }
        // Showing the result can run code, too.
        outcome.timed_out = self.state.timed_out.get();
        if outcome.timed_out {
            outcome.result = None;
            outcome.error = None;
            self.state.output.borrow_mut().results.retain(|result| !result.is_main_result);
        }
        outcome.out_of_memory = outcome
            .error
            .as_ref()
            .is_some_and(|error| error.name == "InternalError" && error.value == "out of memory");
        outcome
    }

    fn evaluate<'js>(&self, ctx: &Ctx<'js>, code: &str) -> End<'js> {
        // Only code with the word in it can await; the rest goes the short way.
        let awaits = code.contains("await");
        let flags = qjs::JS_EVAL_TYPE_GLOBAL | if awaits { qjs::JS_EVAL_FLAG_ASYNC } else { 0 };
        let length = code.len();
        let mut source = Vec::with_capacity(length + 1);
        source.extend_from_slice(code.as_bytes());
        source.push(0);
        // SAFETY: the context is alive; the source is `length` bytes and a terminating zero; the name is a C string.
        let value = unsafe {
            let value = qjs::JS_Eval(
                ctx.as_raw().as_ptr(),
                source.as_ptr().cast(),
                length as _,
                FILE_NAME.as_ptr(),
                flags as _,
            );
            Value::from_raw(ctx.clone(), value)
        };
        drop(source);
        if value.is_exception() {
            return self.thrown(ctx);
        }
        let mut end = self.settle(ctx, value);
        if awaits && let End::Value(wrapped) = &end {
            // Asynchronous code answers an object that holds its value, lest a promise in it be awaited unasked.
            let inner = wrapped
                .as_object()
                .map_or(Ok(wrapped.clone()), |object| object.get::<_, Value<'js>>("value"));
            end = match inner {
                Ok(inner) => self.settle(ctx, inner),
                Err(_) => self.thrown(ctx),
            };
        }
        end
    }

    fn call<'js>(&self, ctx: &Ctx<'js>, call: &WorkerCall) -> End<'js> {
        let function: Value<'js> = match ctx.globals().get(call.function.as_str()) {
            Ok(function) => function,
            Err(_) => return self.thrown(ctx),
        };
        let Some(function) = function.into_function() else {
            let _ = rquickjs::Exception::throw_type(
                ctx,
                &format!("the code defines no function {}", call.function),
            );
            return self.thrown(ctx);
        };
        let arguments = rquickjs::function::Rest(call.arguments.clone());
        match function.call::<_, Value<'js>>((arguments,)) {
            Ok(value) => self.settle(ctx, value),
            Err(_) => self.thrown(ctx),
        }
    }

    /// The pending exception.
    fn thrown<'js>(&self, ctx: &Ctx<'js>) -> End<'js> {
        let thrown = ctx.catch();
        if self.state.timed_out.get() { End::TimedOut } else { End::Thrown(thrown) }
    }

    /// Runs jobs and timers until none is left. The value is awaited when it is a promise.
    fn settle<'js>(&self, ctx: &Ctx<'js>, value: Value<'js>) -> End<'js> {
        let promise = value.as_promise().cloned();
        loop {
            if let Some(end) = self.drain(ctx) {
                return end;
            }
            if let Some(promise) = &promise
                && promise.state() == PromiseState::Rejected
            {
                return End::Thrown(promise_result(ctx, promise));
            }
            if let Some((_, reason)) = self.state.rejections.borrow().first()
                && let Ok(reason) = reason.clone().restore(ctx)
            {
                return End::Thrown(reason);
            }
            if let Some(end) = self.fire(ctx) {
                match end {
                    End::Stalled => break,
                    end => return end,
                }
            }
        }
        match promise {
            None => End::Value(value),
            Some(promise) if promise.state() == PromiseState::Resolved => {
                End::Value(promise_result(ctx, &promise))
            }
            Some(_) => End::Stalled,
        }
    }

    /// Runs all queued jobs; an end when one of them throws or the time is over.
    fn drain<'js>(&self, ctx: &Ctx<'js>) -> Option<End<'js>> {
        let runtime = self.context.get_runtime_ptr();
        let mut count = 0_u32;
        loop {
            let mut raised = std::ptr::null_mut();
            // SAFETY: the runtime is alive, of this thread, and has this one context.
            let done = unsafe { qjs::JS_ExecutePendingJob(runtime, &raw mut raised) };
            if done < 0 {
                return Some(self.thrown(ctx));
            }
            if done == 0 {
                return None;
            }
            count = count.wrapping_add(1);
            if count.is_multiple_of(JOBS_PER_LOOK) && self.state.is_over() {
                return Some(End::TimedOut);
            }
        }
    }

    /// Waits for the next timer and runs it. `Stalled` when there is none.
    fn fire<'js>(&self, ctx: &Ctx<'js>) -> Option<End<'js>> {
        let due = self.state.timers.borrow().first_key_value().map(|((due, _), _)| *due);
        let Some(due) = due else { return Some(End::Stalled) };
        let until = self.state.deadline.get().map_or(due, |deadline| due.min(deadline));
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        if self.state.is_over() {
            return Some(End::TimedOut);
        }
        let ((_, number), timer) = self.state.timers.borrow_mut().pop_first()?;
        let callback = timer.callback.clone().restore(ctx).ok()?;
        let arguments = timer.arguments.iter().filter_map(|one| one.clone().restore(ctx).ok()).collect();
        if let Some(interval) = timer.interval {
            self.state.timers.borrow_mut().insert((Instant::now() + interval, number), timer);
        }
        match callback.call::<_, Value<'js>>((rquickjs::function::Rest(arguments),)) {
            Ok(_) => None,
            Err(_) => Some(self.thrown(ctx)),
        }
    }

    fn failure<'js>(&self, ctx: &Ctx<'js>, thrown: &Value<'js>) -> Failure {
        let Some(error) = thrown.as_object().filter(|_| thrown.is_error()) else {
            let value = self.state.display_text(ctx, thrown);
            return Failure {
                name: "Error".to_owned(),
                traceback: format!("Uncaught {}", self.state.inspect(ctx, thrown)),
                value,
            };
        };
        let property = |name: &str| {
            let value: rquickjs::Result<Value<'js>> = error.get(name);
            let value = value.inspect_err(|_| drop(ctx.catch())).ok()?;
            text::of_primitive(ctx, &value).filter(|_| value.is_string())
        };
        let name = property("name").unwrap_or_else(|| "Error".to_owned());
        let value = property("message").unwrap_or_default();
        let traceback = inspect::error_text(&name, &value, &property("stack").unwrap_or_default());
        Failure { name, value, traceback }
    }
}

fn promise_result<'js>(ctx: &Ctx<'js>, promise: &Promise<'js>) -> Value<'js> {
    // SAFETY: the context is alive and the promise one of its runtime; the answer is a reference of our own.
    unsafe {
        Value::from_raw(
            ctx.clone(),
            qjs::JS_PromiseResult(ctx.as_raw().as_ptr(), promise.as_value().as_raw()),
        )
    }
}
