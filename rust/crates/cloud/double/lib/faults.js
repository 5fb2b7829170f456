// Misbehaviour on demand: which call, what, how many times.
//
// A fault is {route, kind, count?, skip?, after?, ms?, bytes?, status?, headers?, html?, body?}. `route` is as in the counts, for
// example "POST /v2/sandboxes" or "/process.Process/Start"; "*" is any. `count` calls have it (default 1), after `skip` that do not.
import { send } from './http.js';

const HTML = status => `<html><head><title>${status}</title></head><body><center><h1>${status} from a proxy</h1></center></body></html>`;

/** Kinds that answer in place of the service, before anything is done. */
const INSTEAD = {
  status: (fault, { response }) => {
    const headers = fault.headers ?? {};
    if (fault.html) send(response, fault.status, HTML(fault.status), { ...headers, 'content-type': 'text/html' });
    else send(response, fault.status, fault.body ?? { code: fault.status, message: `the double was told to answer ${fault.status}` }, headers);
  },
  'wrong-json': (_, { response }) => send(response, 200, '{"this is": not JSON', { 'content-type': 'application/json' }),
  'wrong-shape': (_, { response }) => send(response, 200, '["something", "else"]', { 'content-type': 'application/json' }),
  reset: (_, { request }) => request.socket.resetAndDestroy(),
  close: (_, { request }) => request.socket.end(),
  stall: () => {},
  huge: (fault, { response, streaming }) => huge(response, fault.bytes ?? 2 ** 30, streaming),
};

/** Kinds that let the service do its work and spoil the answer. */
const SPOIL = {
  'slow-start': (fault, answer) => answer.delayStart(fault.ms),
  slow: (fault, answer) => answer.drip(fault.bytes ?? 1, fault.ms),
  cut: (fault, answer) => answer.stopAfter(fault.after ?? 10, 'cut'),
  'reset-after': (fault, answer) => answer.stopAfter(fault.after ?? 0, 'reset'),
  'stall-after': (fault, answer) => answer.stopAfter(fault.after ?? 10, 'stall'),
  'half-frame': (fault, answer) => answer.stopAfter(fault.after ?? 10, 'end'),
  'no-end': (_, answer) => answer.withoutEnd(),
};

export const KINDS = [...Object.keys(INSTEAD), ...Object.keys(SPOIL)];

export class Faults {
  #faults = [];

  add(fault) {
    if (!KINDS.includes(fault.kind)) throw new Error(`kind is one of ${KINDS.join(', ')}`);
    this.#faults.push({ count: 1, skip: 0, ...fault });
  }

  clear() {
    this.#faults = [];
  }

  /** True when a fault has answered in place of the service. */
  apply(route, call) {
    const fault = this.#faults.find(one => (one.route === '*' || one.route === route) && (one.skip-- <= 0));
    if (!fault) return false;
    if (--fault.count <= 0) this.#faults.splice(this.#faults.indexOf(fault), 1);
    if (INSTEAD[fault.kind]) {
      call.request.resume();
      // What was asked for is read to its end, so that the client can hear the answer.
      if (call.request.readableEnded || fault.kind === 'reset') INSTEAD[fault.kind](fault, call);
      else call.request.once('end', () => INSTEAD[fault.kind](fault, call));
      return true;
    }
    SPOIL[fault.kind](fault, new Answer(call));
    return false;
  }
}

/** Answers with more than anybody wants, as fast as it is read. */
function huge(response, bytes, streaming) {
  const block = Buffer.alloc(65536, 'a');
  response.writeHead(200, { 'content-type': streaming ? 'application/connect+json' : 'application/json' });
  const head = Buffer.alloc(5);
  head.writeUInt32BE(Math.min(bytes, 0x7fffffff), 1);
  response.write(streaming ? head : '"');
  const more = () => {
    for (; bytes > 0 && !response.destroyed; bytes -= block.length) {
      if (!response.write(block)) {
        response.once('drain', more);
        bytes -= block.length;
        return;
      }
    }
    response.end();
  };
  more();
}

/** The answer of a service, changed on its way: what the service writes goes through `write` here. */
class Answer {
  constructor({ request, response }) {
    this.socket = request.socket;
    this.response = response;
    this.write = response.write.bind(response);
    this.end = response.end.bind(response);
    this.writeHead = response.writeHead.bind(response);
  }

  delayStart(ms) {
    const queue = [];
    let open = false;
    for (const name of ['writeHead', 'flushHeaders', 'write', 'end']) {
      const real = this.response[name].bind(this.response);
      this.response[name] = (...values) => {
        if (open) return real(...values);
        queue.push(() => real(...values));
        return true;
      };
    }
    setTimeout(() => {
      open = true;
      for (const call of queue) call();
    }, ms);
  }

  #through(take) {
    this.response.writeHead = (status, headers) => this.writeHead(status, withoutLength(headers));
    this.response.write = chunk => {
      take(Buffer.from(chunk), false);
      return true;
    };
    this.response.end = chunk => take(chunk === undefined ? Buffer.alloc(0) : Buffer.from(chunk), true);
  }

  drip(bytes, ms) {
    const queue = [];
    let last = false;
    const timer = setInterval(() => {
      const chunk = queue.shift();
      if (chunk) this.write(chunk);
      if (queue.length > 0 || !last) return;
      clearInterval(timer);
      this.end();
    }, ms);
    this.response.once('close', () => clearInterval(timer));
    this.#through((chunk, end) => {
      for (let at = 0; at < chunk.length; at += bytes) queue.push(chunk.subarray(at, at + bytes));
      last ||= end;
    });
  }

  stopAfter(bytes, how) {
    let left = bytes;
    let stopped = false;
    // The length of the whole is promised, so that a cut shows; a clean end in the middle has chunks.
    const stop = () => {
      stopped = true;
      if (how === 'reset') setImmediate(() => this.socket.resetAndDestroy());
      if (how === 'cut') setImmediate(() => this.socket.end());
      if (how === 'end') this.end();
    };
    this.#through((chunk, end) => {
      if (stopped) return;
      if (chunk.length > 0 && left > 0) this.write(chunk.subarray(0, left));
      left -= chunk.length;
      if (left <= 0 || end) stop();
    });
  }

  /** The answer without its last write: of a stream the frame that says how it ended. */
  withoutEnd() {
    this.#through((chunk, end) => (end ? this.end() : this.write(chunk)));
  }
}

function withoutLength(headers = {}) {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'content-length'));
}
