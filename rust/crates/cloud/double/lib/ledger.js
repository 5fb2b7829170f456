// What was asked for: every request with its body, as many as fit, and counts.
import crypto from 'node:crypto';

const MOST_REQUESTS = 10_000;
const MOST_BODY = 256 * 1024;

export class Ledger {
  requests = [];
  counts = {};
  /** What the requests that come now are for, by the word of whoever sends them. */
  step = null;
  open = new Set();
  total = 0;

  /** Counts a connection; one that asks the double itself is taken out again. */
  connection(socket) {
    this.open.add(socket);
    this.total++;
    socket.once('close', () => this.open.delete(socket));
  }

  administrative(socket) {
    if (this.open.delete(socket)) this.total--;
  }

  /** Notes a request. Its body is noted as it is read by the service. */
  note(request, plane, route) {
    const record = { step: this.step, plane, route, method: request.method, url: request.url, headers: request.headers, at: Date.now() };
    this.counts[route] = (this.counts[route] ?? 0) + 1;
    request.socket.lastRoute = route;
    if (this.requests.length < MOST_REQUESTS) this.requests.push(record);
    return record;
  }

  forget() {
    this.requests = [];
    this.counts = {};
  }
}

/** Keeps a copy of the body of a request as it flows, and calls back at its end. */
export function tap(request, record, done) {
  const hash = crypto.createHash('sha256');
  const kept = [];
  let size = 0;
  const emit = request.emit;
  request.emit = function (event, ...values) {
    if (event === 'data') {
      hash.update(values[0]);
      if (size < MOST_BODY) kept.push(values[0]);
      size += values[0].length;
    }
    if (event === 'end') {
      Object.assign(record, describe(request.headers['content-type'] ?? '', Buffer.concat(kept), size, hash));
      done(record);
    }
    return emit.call(this, event, ...values);
  };
}

function describe(type, bytes, size, hash) {
  if (size === 0) return { size };
  if (size <= MOST_BODY && type.startsWith('application/json')) return { size, body: tryParse(bytes) };
  if (size <= MOST_BODY && type.startsWith('application/connect+json')) return { size, body: tryParse(bytes.subarray(5)) };
  return { size, sha256: hash.digest('hex') };
}

function tryParse(bytes) {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return { unreadable: bytes.toString('latin1').slice(0, 200) };
  }
}
