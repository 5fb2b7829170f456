// Runs code in Node.js for a caller at the other end of descriptor 3.
//
// Messages are JSON in UTF-8 behind their length as four bytes, little endian. A request is {run, code, stateless, timeout_ms,
// max_output_bytes}; the reply is {run, result, results, error, timed_out, out_of_memory, spent, dropped_bytes}. What the code prints goes
// to descriptors 1 and 2 and is there before the reply.
//
// The result is the value of the last expression, awaited when it is a promise: a string as it is, anything else as util.inspect
// shows it, nothing for undefined. Code may await at its top level. display(value, ...) adds results. Code that keeps the processor
// past its time-out is left to whoever started this program; other code is told off here.
//
// A stateless run has a vm context of its own, made ahead while nobody waits, and ends as a script does: when nothing is left to do.
// After it, the environment, working directory, umask, the properties and listeners of process, and the modules loaded by require are
// as they were; what it did to Node's own modules and classes stays. A run that left handles, children, threads, descriptors, native
// or imported modules behind makes the worker `spent`: it exits after the reply. Other runs share one vm context; such a run ends
// when its value is there and no timer or request is pending, and servers, sockets and children live on.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const util = require('node:util');
const vm = require('node:vm');
const { createRequire } = require('node:module');
const { Console } = require('node:console');
const { ChildProcess } = require('node:child_process');

const CHANNEL = 3;
const MAX_MESSAGE = 64 * 1024 * 1024;
// The most that these may take in a reply, in bytes of JSON; together they stay below the longest message.
const MAX_RESULT = 12 * 1024 * 1024;
const MAX_RESULTS = 24 * 1024 * 1024;
const MAX_ERROR = 1024 * 1024;
const MAX_DISPLAYED = 1000;
const MAX_DEPTH = 100;
// Milliseconds between two looks at what a run in a shared context still waits for.
const LOOK = 1;

// Whatever this program needs, code may replace: these stay.
const { stringify, parse } = JSON;
const { inspect } = util;
const { isPromise, isNativeError } = util.types;
const { readSync, writeSync, openSync, closeSync, readFileSync, existsSync } = fs;
const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate } = globalThis;
const { reallyExit, getActiveResourcesInfo, chdir, umask } = process;
const tick = process._tickCallback;
const then = Promise.prototype.then;
const { from: bytesOf, allocUnsafe } = Buffer;
const byteLength = Buffer.byteLength;
const { apply, ownKeys } = Reflect;
const { isFinite } = Number;
const sleepCell = new Int32Array(new SharedArrayBuffer(4));

const home = process.cwd();
const filename = path.join(home, 'code.js');
const own = __filename;

/** Waits, for a descriptor that does not block although it should. */
function pause() {
  Atomics.wait(sleepCell, 0, 0, 1);
}

function writeAll(descriptor, data) {
  let offset = 0;
  while (offset < data.length) {
    try {
      offset += writeSync(descriptor, data, offset, data.length - offset);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      pause();
    }
  }
}

/** Reads once, at most as much as fits behind `start`; 0 at the end of the channel. */
function readSome(buffer, start) {
  for (;;) {
    try {
      return readSync(CHANNEL, buffer, start, buffer.length - start, null);
    } catch (error) {
      if (error.code !== 'EAGAIN' && error.code !== 'EINTR') throw error;
      pause();
    }
  }
}

const PREFIX = 4;
/** Most requests come whole with one read, and one request comes at a time. */
const incoming = Buffer.alloc(16 * 1024);

function readRequest() {
  let filled = 0;
  while (filled < PREFIX) {
    const count = readSome(incoming, filled);
    if (count === 0) return null;
    filled += count;
  }
  const length = incoming.readUInt32LE(0);
  if (length === 0 || length > MAX_MESSAGE) return null;
  let body = incoming;
  if (PREFIX + length > incoming.length) {
    body = allocUnsafe(PREFIX + length);
    incoming.copy(body, 0, 0, filled);
  }
  while (filled < PREFIX + length) {
    const count = readSome(body, filled);
    if (count === 0) return null;
    filled += count;
  }
  // The next one comes after the reply to this one.
  if (filled > PREFIX + length) return null;
  return parse(body.utf8Slice(PREFIX, PREFIX + length));
}

function leave() {
  apply(reallyExit, process, [0]);
}

// Results.

/** JSON text, or null where JSON would lose something or a reader of the reply might not take it. */
function jsonText(value) {
  let text;
  try {
    text = stringify(value, exact);
  } catch {
    return null;
  }
  if (text === undefined) return null;
  let brackets = 0;
  for (let index = 0; index < text.length && brackets <= MAX_DEPTH; index++) {
    const code = text.charCodeAt(index);
    if (code === 91 || code === 123) brackets++;
  }
  if (brackets > MAX_DEPTH) {
    let depth = 0;
    for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
      if (token === '[' || token === '{') depth++;
      else if (token === ']' || token === '}') depth--;
      if (depth > MAX_DEPTH) return null;
    }
  }
  return text;
}

function exact(key, value) {
  if (typeof value === 'number' && !isFinite(value)) throw new TypeError();
  if (value === undefined && Array.isArray(this)) throw new TypeError();
  return value;
}

/** The text as JSON in at most `room` bytes or so; what is cut off is counted. */
function cut(text, room) {
  const whole = stringify(text);
  // Three bytes a unit at most.
  if (whole.length * 3 <= room || byteLength(whole) <= room) return whole;
  const kept = Math.max(Math.floor(room / 6) - 2, 0);
  run.dropped += byteLength(text.slice(kept));
  return stringify(text.slice(0, kept));
}

/** Adds a rich result and answers its text. */
function addResult(value, isMain) {
  if (typeof value === 'number' || typeof value === 'boolean') {
    const text = value === 0 && 1 / value < 0 ? '-0' : `${value}`;
    const form = typeof value === 'boolean' || isFinite(value) ? `${value}` : null;
    if (isMain || run.results.length < MAX_DISPLAYED) run.results.push(`{"text":"${text}","json":${form},"is_main_result":${isMain}}`);
    return text;
  }
  const text = typeof value === 'string' ? value : inspect(value);
  if (run.results.length >= MAX_DISPLAYED && !isMain) {
    run.dropped += text.length;
    return text;
  }
  const shown = cut(text, run.room / 2);
  run.room -= byteLength(shown);
  let form = jsonText(value);
  if (form !== null) {
    const size = byteLength(form);
    if (size > run.room) form = null;
    else run.room -= size;
  }
  run.results.push(`{"text":${shown},"json":${form},"is_main_result":${isMain}}`);
  return text;
}

function display(...values) {
  if (run === null) return;
  for (const value of values) addResult(value, false);
}

/** A property of a thrown value as text, whatever stands there. */
function part(error, key, otherwise) {
  try {
    const value = error[key];
    return value === undefined ? otherwise : String(value);
  } catch {
    return otherwise;
  }
}

/** The error of a reply, without the frames of this program and of Node. */
function describe(thrown) {
  let name = 'Error';
  let value;
  let traceback;
  let like = false;
  try {
    like = isNativeError(thrown) || thrown instanceof Error;
  } catch {
    // A proxy that was revoked, say.
  }
  if (like) {
    name = part(thrown, 'name', 'Error');
    value = part(thrown, 'message', '');
    traceback = part(thrown, 'stack', `${name}: ${value}`)
      .split('\n')
      .filter((line) => !(/^\s+at /.test(line) && (line.includes(own) || line.includes('(node:') || line.includes('at node:'))))
      .join('\n');
  } else {
    try {
      value = typeof thrown === 'string' ? thrown : inspect(thrown);
    } catch {
      value = 'a value that cannot be shown';
    }
    traceback = `Uncaught ${value}`;
  }
  return `{"name":${cut(name, MAX_ERROR)},"value":${cut(value, MAX_ERROR)},"traceback":${cut(traceback, MAX_ERROR)}}`;
}

function ownError(name, value) {
  return stringify({ name, value, traceback: `${name}: ${value}` });
}

// What the code sees.

/** process.exit of the code: ends the run, not the worker. */
function exit(code = process.exitCode) {
  if (run === null) leave();
  run.exit ??= { code: Number(code ?? 0) };
  throw run.exit;
}

/** Where everything goes while this program warms up: a descriptor of /dev/null. Null from then on. */
let nowhere = null;

const outputs = [1, 2].map((descriptor) => ({
  write(text) {
    writeAll(nowhere ?? descriptor, bytesOf(`${text}`, 'utf8'));
    return true;
  },
}));

/** Timers of the run, which a shared context waits for and a stateless run does not leave behind. */
const timers = new Set();

function timed(set, repeats) {
  const one = (callback, ...rest) => {
    if (typeof callback !== 'function') return set(callback, ...rest);
    const timer = set((...values) => {
      if (!repeats) timers.delete(timer);
      callback(...values);
    }, ...rest);
    timers.add(timer);
    return timer;
  };
  Object.defineProperty(one, 'name', { value: set.name });
  const custom = set[util.promisify.custom];
  if (custom !== undefined) Object.defineProperty(one, util.promisify.custom, { value: custom });
  return one;
}

function untimed(clear) {
  const one = (timer) => {
    if (typeof timer === 'object') timers.delete(timer);
    else for (const known of timers) if (String(known[Symbol.toPrimitive]?.()) === String(timer)) timers.delete(known);
    clear(timer);
  };
  Object.defineProperty(one, 'name', { value: clear.name });
  return one;
}

const SHARED = {
  Buffer, queueMicrotask, structuredClone, atob, btoa, performance, display,
  URL, URLSearchParams, TextEncoder, TextDecoder, AbortController, AbortSignal, Event, EventTarget,
  MessageChannel, MessagePort, MessageEvent, Blob, DOMException, crypto: globalThis.crypto,
  TextEncoderStream: globalThis.TextEncoderStream, TextDecoderStream: globalThis.TextDecoderStream,
  ReadableStream: globalThis.ReadableStream, WritableStream: globalThis.WritableStream, TransformStream: globalThis.TransformStream,
  setTimeout: timed(setTimeout, false), setInterval: timed(setInterval, true), setImmediate: timed(setImmediate, false),
  clearTimeout: untimed(clearTimeout), clearInterval: untimed(clearInterval), clearImmediate: untimed(clearImmediate),
};
const itself = new vm.Script('this');
let made = 0;

/** A new vm context with the usual globals. */
function makeContext() {
  const name = `code ${++made}`;
  // An ordinary global object, where Node has it: an object behind interceptors is many times slower.
  const plain = vm.constants?.DONT_CONTEXTIFY;
  const context = vm.createContext(plain ?? {}, { name });
  const globals = {
    ...SHARED,
    console: new Console({ stdout: outputs[0], stderr: outputs[1], ignoreErrors: false }),
    global: plain === undefined ? itself.runInContext(context) : context,
  };
  const module = { exports: {}, filename, id: '.', loaded: false, paths: [] };
  globals.exports = module.exports;
  for (const key in globals) {
    if (globals[key] !== undefined) {
      Object.defineProperty(context, key, { value: globals[key], writable: true, configurable: true, enumerable: false });
    }
  }
  for (const [key, value] of [['process', process], ['require', createRequire(filename)], ['module', module]]) {
    Object.defineProperty(context, key, {
      get() {
        if (run !== null) run.touched = true;
        return value;
      },
      set(other) {
        Object.defineProperty(context, key, { value: other, writable: true, configurable: true, enumerable: true });
      },
      configurable: true,
      enumerable: false,
    });
  }
  return { context, name };
}

// Top-level await: the debugger's REPL mode of the engine is what compiles it.

let session = null;

function post(method, parameters) {
  let outcome;
  session.post(method, parameters, (error, result) => {
    outcome = { error, result };
  });
  if (outcome === undefined || outcome.error) throw new Error(`${method}: ${outcome?.error?.message}`);
  return outcome.result;
}

/** Runs code with an await at its top level; a promise of what it answers. */
function evaluateAsync(code, { context, name }) {
  if (load !== undefined && /\bimport\s*\(/.test(code)) {
    Object.defineProperty(context, '__import__', { value: load, writable: true, configurable: true });
    code = code.replace(/(?<![.\w$'"`])import(?=\s*\()/g, '__import__');
  }
  if (session === null) {
    session = new (require('node:inspector').Session)();
    session.connect();
  }
  let contextId;
  const created = ({ params }) => {
    if (params.context.name === name) contextId = params.context.id;
  };
  session.on('Runtime.executionContextCreated', created);
  post('Runtime.enable');
  session.off('Runtime.executionContextCreated', created);
  post('Runtime.disable');
  const objectGroup = name;
  // Values come back as handles; a box inside the context takes them over.
  const box = new vm.Script('({})').runInContext(context);
  const key = `box ${Math.random()}`;
  context[key] = box;
  const boxed = post('Runtime.evaluate', { expression: `globalThis[${stringify(key)}]`, contextId, objectGroup }).result.objectId;
  delete context[key];
  const take = (remote) => {
    if (remote.objectId === undefined) {
      if (remote.unserializableValue === undefined) return remote.value;
      return remote.type === 'bigint' ? BigInt(remote.unserializableValue.slice(0, -1)) : Number(remote.unserializableValue);
    }
    post('Runtime.callFunctionOn', {
      functionDeclaration: 'function (value) { this.value = value }',
      objectId: boxed,
      arguments: [{ objectId: remote.objectId }],
      silent: true,
    });
    return box.value;
  };
  return new Promise((resolve, reject) => {
    session.post(
      'Runtime.evaluate',
      { expression: `${code}\n//# sourceURL=${filename}`, contextId, objectGroup, replMode: true, awaitPromise: true, silent: true },
      (error, answer) => {
        try {
          if (error) throw new Error(error.message);
          const { result, exceptionDetails } = answer;
          if (exceptionDetails === undefined) resolve({ value: take(result) });
          else reject(exceptionDetails.exception === undefined ? new Error(exceptionDetails.text) : take(exceptionDetails.exception));
        } catch (problem) {
          reject(problem);
        } finally {
          session.post('Runtime.releaseObjectGroup', { objectGroup });
        }
      },
    );
  });
}

// Runs.

/** The run that goes on, or null. */
let run = null;
/** The context of runs that are not stateless. */
let shared = null;
/** Made ahead for the next stateless run. */
let ready = null;

const loader = vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER;
const plain = { filename };
const options = loader === undefined ? plain : { filename, importModuleDynamically: loader };

/** A call of the module loader as code at the top would make it; the debugger's scripts have no loader of their own. */
const load = loader === undefined ? undefined : quietly(() => new vm.Script('(specifier) => import(specifier)', options).runInThisContext());

/** Without the warning, given once, that the loader is experimental: the code did not ask for it. */
function quietly(action) {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return action();
  } finally {
    process.emitWarning = emitWarning;
  }
}

function evaluate(code, place) {
  // To a script, `await (x)` is a call of a function of that name.
  if (/\bawait\s*[([`+\-/]/.test(code)) return evaluateAsync(code, place);
  let script;
  try {
    script = new vm.Script(code, /\bimport\b/.test(code) ? options : plain);
  } catch (error) {
    if (error instanceof SyntaxError && /\bawait\b/.test(code)) return evaluateAsync(code, place);
    throw error;
  }
  return { value: script.runInContext(place.context) };
}

/** Waits for a value that is a promise. */
function settle(value) {
  if (!isPromise(value)) {
    run.settled = true;
    run.value = value;
    return;
  }
  const mine = run;
  apply(then, value, [
    (awaited) => {
      if (run === mine) settle(awaited);
    },
    (reason) => {
      if (run === mine) fail(reason);
    },
  ]);
}

function fail(thrown) {
  if (run.error !== null || run.exit !== null) return;
  run.error = describe(thrown);
  run.failed = true;
}

/** Runs a request; true when it is answered, false when it waits for the event loop. */
function start(request) {
  let place;
  if (request.stateless) {
    place = ready ?? makeContext();
    ready = null;
  } else {
    place = shared ??= makeContext();
  }
  run = {
    number: request.run, stateless: request.stateless, code: request.code, timeout: request.timeout_ms,
    settled: false, failed: false, value: undefined, error: null, exit: null, timedOut: false,
    touched: /\bimport\b/.test(request.code), results: [], room: MAX_RESULTS, dropped: 0, deadline: null, ending: false,
  };
  try {
    const outcome = evaluate(request.code, place);
    if (isPromise(outcome)) {
      const mine = run;
      apply(then, outcome, [
        ({ value }) => {
          if (run === mine) settle(value);
        },
        (reason) => {
          if (run === mine) fail(reason);
        },
      ]);
    } else {
      settle(outcome.value);
    }
  } catch (thrown) {
    fail(thrown);
  }
  // What is queued runs now, unless it takes the event loop.
  if (tick !== undefined && !run.failed) {
    try {
      apply(tick, process, []);
    } catch (thrown) {
      fail(thrown);
    }
  }
  if (run.ending) return false;
  if (run.failed || run.exit !== null || (tick !== undefined && run.settled && isIdle())) {
    finish();
    return true;
  }
  run.deadline = setTimeout(timeOut, request.timeout_ms);
  run.deadline.unref();
  if (!run.stateless) look();
  // One turn at least, after which Node says that it is about to end.
  setImmediate(() => {});
  return false;
}

/** Kinds of the handles and requests that are open, but for the standard streams. */
function resources() {
  const active = apply(getActiveResourcesInfo, process, []);
  for (const kind of base.active) {
    const index = active.indexOf(kind);
    if (index >= 0) active.splice(index, 1);
  }
  return active;
}

/** True when nothing is pending that the run waits for. */
function isIdle() {
  const active = resources();
  if (active.length === 0) return true;
  if (run.stateless) return false;
  return !active.some((kind) => kind === 'Timeout' || kind === 'Immediate' || kind.includes('Req'));
}

/** Looks again and again whether a run in the shared context is over: what it keeps open does not count. */
function look() {
  const mine = run;
  const again = () => {
    if (run !== mine) return;
    const waiting = timers.size > 0 || resources().some((kind) => kind.includes('Req'));
    if (run.failed || (run.settled && !waiting)) {
      finish();
      loop();
      return;
    }
    setTimeout(again, LOOK).unref();
  };
  setTimeout(again, LOOK).unref();
}

function timeOut() {
  if (run === null) return;
  run.timedOut = true;
  finish();
  loop();
}

function uncaught(thrown) {
  if (run === null) return;
  fail(thrown);
  // Two turns later, when what has thrown is done with, and the empty turn that Node itself asks for after it.
  for (const timer of timers) clearTimeout(timer);
  timers.clear();
  run.ending = true;
  const mine = run;
  setImmediate(() => setImmediate(() => {
    if (run !== mine) return;
    finish();
    loop();
  }));
}

/** Answers the request. */
function finish() {
  if (run.deadline !== null) clearTimeout(run.deadline);
  for (const timer of timers) clearTimeout(timer);
  timers.clear();
  let result = null;
  let { error } = run;
  if (run.timedOut) error = null;
  else if (run.exit !== null) {
    const { code } = run.exit;
    error = code === 0 ? null : ownError('ProcessExit', `process exited with code ${code}`);
  } else if (error === null && !run.settled) {
    error = ownError('Error', 'the code awaits a promise that nothing is left to settle');
  } else if (error === null && run.value !== undefined) {
    try {
      result = cut(addResult(run.value, true), MAX_RESULT);
    } catch (thrown) {
      error = describe(thrown);
    }
  }
  const outOfMemory = error !== null && error.startsWith('{"name":"RangeError","value":"Array buffer allocation failed"');
  const spent = run.timedOut || (run.stateless && leavesTraces());
  let text =
    `{"run":${run.number},"result":${result},"results":[${run.results.join()}],"error":${error},"timed_out":${run.timedOut},` +
    `"out_of_memory":${outOfMemory},"spent":${spent},"dropped_bytes":${run.dropped}}`;
  // No UTF-8 text can hold half surrogate pairs.
  if (text.includes('\\ud')) text = text.replace(/\\(?:\\|ud[89a-f][0-9a-f]{2})/g, (escape) => (escape === '\\\\' ? escape : '\\ufffd'));
  const { stateless } = run;
  run = null;
  const length = byteLength(text);
  const message = allocUnsafe(4 + length);
  message.writeUInt32LE(length, 0);
  message.utf8Write(text, 4, length);
  writeAll(nowhere ?? CHANNEL, message);
  if (spent) leave();
  if (stateless) {
    cleanUp();
    ready = makeContext();
  }
}

// What stateless runs start from.

let children = 0;
const { spawn } = ChildProcess.prototype;
ChildProcess.prototype.spawn = function (...values) {
  children++;
  return apply(spawn, this, values);
};
const threads = new Set();

function onWorker(worker) {
  threads.add(worker);
  worker.once('exit', () => threads.delete(worker));
}

const listeners = { beforeExit, uncaughtException: uncaught, unhandledRejection: uncaught, worker: onWorker };
let base;

/** The descriptor that the system gives next. */
function nextDescriptor() {
  const descriptor = openSync('/dev/null', 'r');
  closeSync(descriptor);
  return descriptor;
}

/** True when the run left a descriptor open: then the one that comes next is taken. */
function hasDescriptors() {
  return existsSync(`/proc/self/fd/${base.descriptor}`);
}

function hasChildren() {
  if (children === 0) return false;
  children = 0;
  try {
    return readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8') !== '';
  } catch {
    return true;
  }
}

/** True when the run left what cannot be put back in this process. Only what it gets at by process and by modules can. */
function leavesTraces() {
  if (!run.touched && run.deadline === null) return false;
  return (
    threads.size > 0 ||
    hasChildren() ||
    resources().length > 0 ||
    hasDescriptors() ||
    /\bimport\s*\(/.test(run.code) ||
    Object.keys(require.cache).some((name) => name.endsWith('.node'))
  );
}

/** Puts everything back for the next stateless run. */
function cleanUp() {
  for (const name of Object.keys(require.cache)) delete require.cache[name];
  const keys = ownKeys(process);
  if (keys.length !== base.process.size) for (const key of keys) if (!base.process.has(key)) delete process[key];
  for (const [key, descriptor] of base.process) {
    const now = Object.getOwnPropertyDescriptor(process, key);
    if (now === undefined || now.value !== descriptor.value || now.get !== descriptor.get) Object.defineProperty(process, key, descriptor);
  }
  process.exitCode = undefined;
  for (const name of process.eventNames()) {
    const list = process.rawListeners(name);
    const mine = base.listeners.get(name) ?? [];
    if (list.length === mine.length && list.every((one, index) => one === mine[index])) continue;
    process.removeAllListeners(name);
    for (const one of mine) process.on(name, one);
  }
  for (const [name, mine] of base.listeners) if (process.listenerCount(name) === 0) for (const one of mine) process.on(name, one);
  for (const name of Object.keys(process.env)) if (!(name in base.env)) delete process.env[name];
  for (const name in base.env) if (process.env[name] !== base.env[name]) process.env[name] = base.env[name];
  apply(chdir, process, [home]);
  apply(umask, process, [0o022]);
}

const WARM_UP = [
  `class Pair { constructor(one, other) { this.one = one; this.other = other; } }
   var kelly = (p, b = 2) => p - (1 - p) / b;
   const rows = [1, 3, 5].map((n) => kelly(n / 10)).filter((row) => row < 1);
   console.log(rows[0].toFixed(4), new Pair(1, 'two'), rows);
   ({ total: rows.reduce((sum, row) => sum + row, 0), text: rows.join('-'), rows, known: new Map([[1, { a: true }]]) })`,
  'null.x',
  '(function () { return [1, 2].length; })()',
];

/** Code pages, caches and what is set up lazily cost a first run a hundred times what it takes later: these are first, unseen. */
function warmUp() {
  // Where a run cannot be answered before the event loop has turned, there is none to be had here.
  if (tick === undefined) return;
  nowhere = openSync('/dev/null', 'w');
  for (const code of [...WARM_UP, ...WARM_UP]) {
    if (start({ run: 0, code, stateless: true, timeout_ms: 1000 })) continue;
    clearTimeout(run.deadline);
    run = null;
    ready = makeContext();
    break;
  }
  closeSync(nowhere);
  nowhere = null;
}

function beforeExit() {
  if (run === null) leave();
  finish();
  loop();
}

/** One request after the other, until one waits for the event loop. */
function loop() {
  try {
    for (;;) {
      const request = readRequest();
      if (request === null) leave();
      if (!start(request)) return;
    }
  } catch {
    // The channel is gone, or holds what is no request.
    leave();
  }
}

process.exit = exit;
process.umask(0o022);
for (const name in listeners) process.on(name, listeners[name]);
// Made lazily, and known from here on.
void process.stdout;
void process.stderr;
base = {
  process: new Map(ownKeys(process).map((key) => [key, Object.getOwnPropertyDescriptor(process, key)])),
  listeners: new Map(process.eventNames().map((name) => [name, process.rawListeners(name)])),
  env: { ...process.env },
  active: apply(getActiveResourcesInfo, process, []),
  descriptor: nextDescriptor(),
};
ready = makeContext();
warmUp();
loop();
