// envd's process service: real processes, their output as it comes. Terminals are not served.
import path from 'node:path';
import fs from 'node:fs';
import { ConnectError, Stream } from './connect.js';
import { USERS } from './machine.js';

const CHUNK = 32 * 1024;
const RETAINED_MS = 30_000;
const KEEPALIVE_SECONDS = 90;
const SIGNALS = { SIGNAL_SIGKILL: 'SIGKILL', SIGNAL_SIGTERM: 'SIGTERM' };
// How Go, in which envd is written, names the signals.
const NAMES = {
  SIGABRT: 'aborted', SIGALRM: 'alarm clock', SIGBUS: 'bus error', SIGFPE: 'floating point exception', SIGHUP: 'hangup',
  SIGILL: 'illegal instruction', SIGINT: 'interrupt', SIGKILL: 'killed', SIGPIPE: 'broken pipe', SIGQUIT: 'quit',
  SIGSEGV: 'segmentation fault', SIGTERM: 'terminated', SIGTRAP: 'trace/breakpoint trap', SIGUSR1: 'user defined signal 1',
  SIGUSR2: 'user defined signal 2',
};
// envd lowers the priority of what it starts; nice is also what says that a program does not exist, with status 127.
const WRAP = 'exec nice -n 0 "${@}"';

/** One process and who listens to it. */
class Process {
  listeners = new Set();
  // What it wrote before its start was told, which is for the first who listens.
  #early = [];

  constructor(child, config, tag) {
    this.child = child;
    this.config = config;
    this.tag = tag;
    // Output is over when both pipes are at their end, whoever has them open, or when nobody is to read them any more.
    this.ended = new Promise(resolve => {
      let status;
      let open = 2;
      const check = () => status && (open === 0 || this.deaf) && resolve(status);
      child.on('exit', (code, signal) => {
        status = endEvent(code, signal);
        check();
      });
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('close', () => {
          open--;
          check();
        });
      }
      this.silence = () => {
        this.deaf = true;
        child.stdout.destroy();
        child.stderr.destroy();
        check();
      };
    });
    for (const [name, stream] of [['stdout', child.stdout], ['stderr', child.stderr]]) {
      stream.on('data', data => this.#publish(name, stream, data));
      stream.on('error', () => {});
    }
    child.stdin?.on('error', () => {});
  }

  #publish(name, stream, data) {
    for (let at = 0; at < data.length; at += CHUNK) {
      const message = { event: { data: { [name]: data.subarray(at, at + CHUNK).toString('base64') } } };
      this.#early?.push(message);
      for (const listener of this.listeners) {
        if (!listener.send(message)) {
          stream.pause();
          listener.drained().then(() => stream.resume());
        }
      }
    }
  }

  /** Sends a stream the start, what is written from now on, and the end. */
  async follow(stream, pid, { request, response }) {
    stream.send({ event: { start: { pid } } });
    this.#early?.forEach(message => stream.send(message));
    this.#early = null;
    this.listeners.add(stream);
    const seconds = Number(request.headers['keepalive-ping-interval']) || KEEPALIVE_SECONDS;
    const keepalive = setInterval(() => stream.send({ event: { keepalive: {} } }), seconds * 1000);
    const gone = new Promise(resolve => response.once('close', resolve));
    const end = await Promise.race([this.ended, gone]);
    clearInterval(keepalive);
    this.listeners.delete(stream);
    if (end) stream.send({ event: { end } });
    stream.end();
  }
}

function endEvent(code, signal) {
  if (signal) {
    const status = `signal: ${NAMES[signal] ?? signal}`;
    return { exitCode: -1, status, error: status };
  }
  const status = `exit status ${code}`;
  return code === 0 ? { exited: true, status } : { exitCode: code, exited: true, status, error: status };
}

export const PROCESS = {
  Start: { streaming: true, handle: start },
  Connect: { streaming: true, handle: connect },
  StreamInput: { streaming: true, clientOnly: true, handle: streamInput },
  List: { handle: async ({ sandbox }) => withoutZeros({ processes: [...sandbox.processes].map(([pid, one]) =>
    withoutZeros({ config: withoutZeros(one.config), pid, tag: one.tag })) }) },
  Update: { handle: async ({ sandbox, message }) => {
    find(sandbox, message.process);
    if (message.pty) throw new ConnectError('internal', 'error resizing tty: tty not assigned to process');
    return {};
  } },
  SendInput: { handle: async ({ sandbox, message }) => {
    input(find(sandbox, message.process), message.input);
    return {};
  } },
  SendSignal: { handle: async ({ sandbox, message }) => {
    const one = find(sandbox, message.process);
    const signal = SIGNALS[message.signal];
    if (!signal) throw new ConnectError('unimplemented', 'invalid signal: SIGNAL_UNSPECIFIED');
    one.silence();
    one.child.signal(signal);
    return {};
  } },
  CloseStdin: { handle: async ({ sandbox, message }) => {
    find(sandbox, message.process).child.stdin?.end();
    return {};
  } },
};

async function start({ sandbox, message, request, response, user }) {
  const { process: config, tag, pty, stdin } = message;
  if (!config?.cmd) throw new ConnectError('invalid_argument', 'no command');
  if (pty) throw new ConnectError('unimplemented', 'the double has no terminals');
  const cwd = path.posix.resolve(USERS[user].home, (config.cwd ?? '').replace(/^~(?=\/|$)/, USERS[user].home));
  if (!fs.existsSync(sandbox.machine.inside(cwd))) throw new ConnectError('invalid_argument', `cwd '${cwd}' does not exist`);
  const deadline = Number(request.headers['connect-timeout-ms'] ?? 0);
  const child = sandbox.machine.spawn([config.cmd, ...(config.args ?? [])],
    { cwd, env: { ...sandbox.envs, ...config.envs }, user, stdin: stdin !== false, wrap: WRAP });
  const one = new Process(child, config, tag);
  const pid = await child.inner.catch(error => {
    throw new ConnectError('invalid_argument', `error starting process '${config.cmd}': ${error.message}`);
  });
  sandbox.processes.set(pid, one);
  sandbox.retained.delete(pid);
  one.ended.then(end => retain(sandbox, pid, one, end));
  const stream = new Stream(response);
  // The time-out of the call is that of the process, too, whether or not somebody still listens.
  const timer = deadline > 0 && setTimeout(() => {
    stream.end(new ConnectError('deadline_exceeded', 'context deadline exceeded'));
    one.silence();
    child.signal('SIGKILL');
  }, deadline);
  one.ended.then(() => clearTimeout(timer));
  await one.follow(stream, pid, { request, response });
}

function retain(sandbox, pid, one, end) {
  sandbox.processes.delete(pid);
  const kept = { tag: one.tag, end };
  sandbox.retained.set(pid, kept);
  setTimeout(() => sandbox.retained.get(pid) === kept && sandbox.retained.delete(pid), RETAINED_MS).unref();
}

async function connect({ sandbox, message, request, response }) {
  const [pid, one] = locate(sandbox.processes, message.process) ?? [];
  if (one) {
    await one.follow(new Stream(response), pid, { request, response });
    return;
  }
  const [old, kept] = locate(sandbox.retained, message.process) ?? [];
  if (!kept) throw notFound(message.process);
  const stream = new Stream(response);
  stream.send({ event: { start: { pid: old } } });
  stream.send({ event: { end: kept.end } });
  stream.end();
}

async function streamInput({ sandbox, all }) {
  let one;
  for (const message of all) {
    if (message.start) one = find(sandbox, message.start.process);
    else if (message.data) input(one, message.data.input);
  }
  return {};
}

function input(one, value) {
  if (value?.pty !== undefined) throw new ConnectError('internal', 'error writing to tty: tty not assigned to process');
  if (value?.stdin === undefined) throw new ConnectError('unimplemented', 'invalid input type <nil>');
  if (!one.child.stdin?.writable) throw new ConnectError('internal', 'error writing to stdin: stdin not enabled or closed');
  one.child.stdin.write(Buffer.from(value.stdin, 'base64'));
}

/** JSON of protobuf leaves out what is empty. */
function withoutZeros(message) {
  return Object.fromEntries(Object.entries(message).filter(([, value]) => value !== undefined && Object.keys(value).length !== 0 || typeof value === 'number'));
}

function locate(processes, selector) {
  if (selector?.pid !== undefined) return processes.has(selector.pid) ? [selector.pid, processes.get(selector.pid)] : null;
  if (selector?.tag !== undefined) return [...processes].find(([, one]) => one.tag === selector.tag) ?? null;
  throw new ConnectError('unimplemented', 'invalid input type *process.ProcessSelector');
}

function find(sandbox, selector) {
  const found = locate(sandbox.processes, selector);
  if (!found) throw notFound(selector);
  return found[1];
}

const notFound = selector => new ConnectError('not_found', selector.pid === undefined
  ? `process with tag ${selector.tag} not found` : `process with pid ${selector.pid} not found`);
