// The Connect protocol with JSON, as envd speaks it: unary calls, and streams of frames of a flag byte, a length and a message.
import { body } from './http.js';

const STATUS = {
  canceled: 499, unknown: 500, internal: 500, data_loss: 500, invalid_argument: 400, failed_precondition: 400, out_of_range: 400,
  deadline_exceeded: 504, not_found: 404, already_exists: 409, aborted: 409, permission_denied: 403, resource_exhausted: 429,
  unimplemented: 501, unavailable: 503, unauthenticated: 401,
};

const END_OF_STREAM = 2;

export class ConnectError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }

  get document() {
    return { code: this.code, message: this.message };
  }
}

export function frame(flags, value) {
  const payload = Buffer.from(JSON.stringify(value));
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(payload.length, 1);
  return Buffer.concat([head, payload]);
}

/** The messages of a request, which for a stream are frames. */
export async function messages(request, streaming) {
  const bytes = await body(request);
  const decode = text => {
    try {
      const message = JSON.parse(text);
      if (message !== null && typeof message === 'object' && !Array.isArray(message)) return message;
    } catch {
      // answered below
    }
    throw new ConnectError('invalid_argument', 'unmarshal message: it is no JSON object');
  };
  if (!streaming) return [bytes.length === 0 ? {} : decode(bytes.toString())];
  const all = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 5 + (at + 5 <= bytes.length ? bytes.readUInt32BE(at + 1) : Infinity);
    if (end > bytes.length) throw new ConnectError('invalid_argument', 'protocol error: incomplete envelope');
    if ((bytes[at] & END_OF_STREAM) === 0) all.push(decode(bytes.subarray(at + 5, end).toString() || '{}'));
    at = end;
  }
  return all;
}

/** A stream of answers. HTTP's status is always 200; how the call ended is in the last frame. */
export class Stream {
  #response;
  ended = false;

  constructor(response) {
    this.#response = response;
    response.writeHead(200, { 'content-type': 'application/connect+json', 'connect-accept-encoding': 'gzip' });
    response.flushHeaders();
  }

  /** Sends one message; false while the client reads slower than this writes. */
  send(message) {
    return this.ended || this.#response.write(frame(0, message));
  }

  drained() {
    return new Promise(resolve => {
      const done = () => {
        this.#response.off('drain', done).off('close', done);
        resolve();
      };
      this.#response.on('drain', done).on('close', done);
    });
  }

  end(error) {
    if (this.ended) return;
    this.ended = true;
    this.#response.end(frame(END_OF_STREAM, error ? { error: error.document } : {}));
  }
}

export function sendUnary(response, message) {
  const text = JSON.stringify(message);
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

/** The error of a call: in the body of a unary one, in the last frame of a stream. */
export function sendConnectError(response, error, streaming) {
  const known = error instanceof ConnectError ? error : new ConnectError('internal', error.message);
  if (streaming) {
    if (response.headersSent) return;
    new Stream(response).end(known);
    return;
  }
  const text = JSON.stringify(known.document);
  response.writeHead(STATUS[known.code], { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
