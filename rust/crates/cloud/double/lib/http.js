// What the services of the double share: bodies, answers, errors.

/** An error that a service answers with: `code` is a Connect code for envd's procedures, else unused. */
export class Failure extends Error {
  constructor(status, message, extra = {}) {
    super(message);
    this.status = status;
    Object.assign(this, extra);
  }
}

export async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The JSON object of a body; an empty one is absent. */
export function parse(bytes) {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new Failure(400, 'the body is not JSON');
  }
}

export function send(response, status, value, headers = {}) {
  if (value === undefined) {
    response.writeHead(status, headers);
    response.end();
    return;
  }
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const type = typeof value === 'string' ? 'text/plain; charset=utf-8' : 'application/json; charset=utf-8';
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text), ...headers });
  response.end(text);
}

/** The error document of the control plane and of envd's HTTP calls. */
export function sendFailure(response, error) {
  const status = error instanceof Failure ? error.status : 500;
  if (response.headersSent) {
    response.destroy();
    return;
  }
  send(response, status, { code: status, message: error.message, ...error.document }, error.headers);
}
