// The code interpreter: kernels that keep their state, one per context, and answers line by line as they come.
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Failure, body, parse, send } from './http.js';

const KERNELS = fileURLToPath(new URL('../kernels/', import.meta.url));
const KEEPALIVE_MS = 5_000;
const INTERRUPT_MS = 2_000;
const LANGUAGES = {
  python: { file: 'python.py', command: ['python3', '-u'] },
  javascript: { file: 'javascript.js', command: ['node'] },
  bash: { file: 'bash.sh', command: ['bash'] },
};

/** As the real server has it: a result that is a string in single quotes comes without them, its escapes as they are. */
function withoutQuotes(message) {
  const { type, text } = message;
  return type === 'result' && text.length > 1 && text.startsWith("'") && text.endsWith("'") ? { ...message, text: text.slice(1, -1) } : message;
}

/** One kernel: code goes in on descriptor 5, what happened comes back on 4, output on 1 and 2 up to a mark on both. */
class Kernel {
  #buffer = '';
  #queue = Promise.resolve();
  count = 0;

  constructor(sandbox, language, cwd) {
    this.id = crypto.randomUUID();
    this.language = language;
    this.cwd = cwd;
    this.sandbox = sandbox;
    const { file, command } = LANGUAGES[language];
    const source = path.join(sandbox.machine.view, 'tmp', `.kernel-${this.id}`);
    fs.copyFileSync(path.join(KERNELS, file), source);
    fs.chmodSync(source, 0o644);
    this.child = sandbox.machine.spawn([...command, `/tmp/.kernel-${this.id}`],
      { cwd, env: sandbox.envs, extra: ['pipe', 'pipe'] });
    this.gone = new Promise(resolve => this.child.once('exit', resolve));
    this.child.stdio[5].on('error', () => {});
    this.child.stdio[4].on('data', data => {
      this.#buffer += data;
      const lines = this.#buffer.split('\n');
      this.#buffer = lines.pop();
      for (const line of lines) this.tell?.(withoutQuotes(JSON.parse(line)));
    });
  }

  /** Runs code, after what was asked for before. `tell` gets each line of the answer but the last; `closed` interrupts. */
  execute(code, env, tell, closed) {
    const turn = this.#queue.then(() => this.#run(code, env, tell, closed));
    this.#queue = turn.catch(() => {});
    return turn;
  }

  async #run(code, env, tell, closed) {
    const mark = crypto.randomBytes(16).toString('hex');
    const outputs = ['stdout', 'stderr'].map(name => this.#until(name, mark, tell));
    const ended = new Promise(resolve => {
      this.tell = message => (message.type === 'end' ? resolve() : tell(message));
    });
    closed.then(() => this.interrupt(ended));
    this.count++;
    this.child.stdio[5].write(JSON.stringify({ code, env, mark }) + '\n');
    const died = this.gone.then(() => 'died');
    if (await Promise.race([Promise.all([ended, ...outputs]), died]) === 'died') {
      tell({ type: 'error', name: 'UnexpectedEndOfExecution', value: 'Connection to the execution was closed before the execution was finished', traceback: '' });
    }
    tell({ type: 'number_of_executions', execution_count: this.count });
  }

  /** Tells a stream's text up to the mark. A character that two reads share is told whole. */
  #until(name, mark, tell) {
    const stream = this.child[name];
    const decoder = new TextDecoder();
    let held = '';
    return new Promise(resolve => {
      const emit = text => text && tell({ type: name, text, timestamp: new Date().toISOString() });
      const take = data => {
        held += decoder.decode(data, { stream: true });
        const at = held.indexOf(mark);
        if (at >= 0) {
          stream.off('data', take);
          emit(held.slice(0, at));
          resolve();
          return;
        }
        const keep = Math.min(held.length, mark.length - 1);
        emit(held.slice(0, held.length - keep));
        held = held.slice(held.length - keep);
      };
      stream.on('data', take);
    });
  }

  /** Asks the code to stop; a kernel that does not is ended. */
  async interrupt(ended) {
    this.child.signal('SIGINT');
    const patience = new Promise(resolve => setTimeout(resolve, INTERRUPT_MS, 'late').unref());
    if (await Promise.race([ended, this.gone, patience]) === 'late') this.end();
  }

  end() {
    this.child.signal('SIGKILL');
  }

  get document() {
    return { id: this.id, language: this.language, cwd: this.cwd };
  }
}

export class Interpreter {
  contexts = new Map();
  #shared = new Map();

  constructor(sandbox) {
    this.sandbox = sandbox;
    sandbox.onEnd(() => this.contexts.clear());
  }

  async serve(name, request, response) {
    const json = parse(await body(request)) ?? {};
    const [, id, action] = /^\/contexts\/([^/]+)(\/restart)?$/.exec(name) ?? [];
    if (request.method === 'GET' && name === '/health') return send(response, 200, 'OK');
    if (request.method === 'POST' && name === '/execute') return this.#execute(json, request, response);
    if (request.method === 'GET' && name === '/contexts') return send(response, 200, [...this.contexts.values()].map(one => one.document));
    if (request.method === 'POST' && name === '/contexts') return send(response, 200, this.#create(json).document);
    if (request.method === 'DELETE' && id) {
      this.#context(id).end();
      this.contexts.delete(id);
      return send(response, 204);
    }
    if (request.method === 'POST' && action) {
      const old = this.#context(id);
      old.end();
      const fresh = this.#create(old.document);
      this.contexts.delete(fresh.id);
      fresh.id = id;
      this.contexts.set(id, fresh);
      return send(response, 204);
    }
    throw new Failure(404, 'Not Found');
  }

  #create({ language = 'python', cwd = '/home/user' }) {
    if (!LANGUAGES[language]) throw new Failure(500, `Failed to create kernel: no kernel for ${language}`);
    const one = new Kernel(this.sandbox, language, cwd);
    this.contexts.set(one.id, one);
    one.gone.then(() => this.contexts.get(one.id) === one && this.contexts.delete(one.id));
    return one;
  }

  #context(id) {
    const one = this.contexts.get(id);
    if (!one) throw new Failure(404, `Context ${id} not found`, { plain: true });
    return one;
  }

  /** The kernel that all code of a language shares which names no context. */
  #default(language) {
    const old = this.#shared.get(language);
    if (old && this.contexts.has(old.id)) return old;
    const fresh = this.#create({ language });
    this.#shared.set(language, fresh);
    return fresh;
  }

  async #execute({ code, context_id: id, language, env_vars: env }, request, response) {
    if (typeof code !== 'string') throw new Failure(422, 'code is missing');
    if (id && language) throw new Failure(400, 'Only one of context_id or language can be provided', { plain: true });
    const kernel = id ? this.#context(id) : this.#default(language ?? 'python');
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.flushHeaders();
    const tell = message => response.writable && response.write(JSON.stringify(message) + '\n');
    const keepalive = setInterval(tell, KEEPALIVE_MS, { type: 'keepalive' });
    const closed = new Promise(resolve => response.once('close', () => !response.writableFinished && resolve()));
    await kernel.execute(code, env ?? {}, tell, closed);
    clearInterval(keepalive);
    tell({ type: 'end_of_execution' });
    response.end();
  }
}
