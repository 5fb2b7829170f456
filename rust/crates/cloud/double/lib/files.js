// envd's files over HTTP: downloads (whole, in part, compressed) and uploads (as a form or as they are, plain or compressed).
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import zlib from 'node:zlib';
import { Failure, body, send } from './http.js';
import { USERS } from './machine.js';
import { makeDirectories, own, resolve } from './filesystem.js';

const MOST_METADATA = 4096;

/** The signature of a file's address, as a client makes it. */
export function signature(name, operation, user, token, expiration) {
  const parts = [name, operation, user, token, ...(expiration === undefined ? [] : [expiration])];
  return 'v1_' + crypto.createHash('sha256').update(parts.join(':')).digest('base64').replace(/=+$/, '');
}

/** A header with the token, or a signature in the address, which may end. */
function authorize(sandbox, request, query, operation) {
  const header = request.headers['x-access-token'];
  if (header !== undefined) {
    if (header !== sandbox.token) throw new Failure(401, 'access token present in header but does not match');
    return;
  }
  const given = query.get('signature');
  if (given === null) throw new Failure(401, 'missing signature query parameter');
  const expiration = query.get('signature_expiration') ?? undefined;
  const right = signature(query.get('path') ?? '', operation, query.get('username') ?? '', sandbox.token, expiration);
  if (given !== right) throw new Failure(401, 'invalid signature');
  if (expiration !== undefined && Number(expiration) < Date.now() / 1000) throw new Failure(401, 'signature is already expired');
}

function userOf(query) {
  const name = query.get('username') ?? 'user';
  if (!USERS[name]) throw new Failure(401, `error looking up user '${name}': user: unknown user ${name}`);
  return name;
}

/** `resolve` with the error of an HTTP call. */
function place(name, user) {
  try {
    return resolve(name, user);
  } catch (error) {
    throw new Failure(400, `error expanding and resolving path '${name}': ${error.message}`);
  }
}

export async function download(sandbox, request, response, query) {
  authorize(sandbox, request, query, 'read');
  const name = place(query.get('path') ?? '', userOf(query));
  const at = sandbox.machine.inside(name);
  const stat = fs.statSync(at, { throwIfNoEntry: false });
  if (!stat) throw new Failure(404, `path '${name}' does not exist`);
  if (stat.isDirectory()) throw new Failure(400, `path '${name}' is a directory`);
  const headers = {
    vary: 'Accept-Encoding', 'content-disposition': `inline; filename=${path.basename(name)}`,
    'content-type': typeOf(at), 'last-modified': stat.mtime.toUTCString(),
  };
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  if (!range && acceptsGzip(request.headers['accept-encoding'])) {
    response.writeHead(200, { ...headers, 'content-encoding': 'gzip' });
    await pipeline(fs.createReadStream(at), zlib.createGzip({ level: 1 }), response);
    return;
  }
  const first = range ? Number(range[1]) : 0;
  const last = range && range[2] ? Math.min(Number(range[2]), stat.size - 1) : stat.size - 1;
  if (range && first > last) throw new Failure(416, 'invalid range: failed to overlap');
  response.writeHead(range ? 206 : 200, {
    ...headers, 'accept-ranges': 'bytes', 'content-length': last - first + 1,
    ...(range ? { 'content-range': `bytes ${first}-${last}/${stat.size}` } : {}),
  });
  if (last < first) response.end();
  else await pipeline(fs.createReadStream(at, { start: first, end: last }), response);
}

/** Text or not, by the first bytes. */
function typeOf(at) {
  const head = Buffer.alloc(512);
  const file = fs.openSync(at);
  const bytes = head.subarray(0, fs.readSync(file, head));
  fs.closeSync(file);
  return bytes.some(one => one < 32 && ![9, 10, 12, 13, 27].includes(one)) ? 'application/octet-stream' : 'text/plain; charset=utf-8';
}

function acceptsGzip(header = '') {
  return header.toLowerCase().split(',').map(one => one.trim()).some(one => /^gzip(;|$)/.test(one) && !/q=0(\.0*)?$/.test(one));
}

export async function upload(sandbox, request, response, query) {
  authorize(sandbox, request, query, 'write');
  const user = userOf(query);
  const metadata = metadataOf(request.headers);
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (!['identity', 'gzip'].includes(encoding)) throw new Failure(400, `error decompressing request body: unsupported Content-Encoding: ${encoding}`);
  const type = request.headers['content-type'] ?? '';
  const stored = [];
  const store = async (name, source) => {
    const at = place(name, user);
    if (stored.some(one => one.path === at)) throw new Failure(400, `you cannot upload multiple files to the same path '${at}' in one upload request, only the first specified file was uploaded`);
    await write(sandbox, at, source, user, metadata);
    stored.push({ name: path.posix.basename(at), path: at, type: 'file', ...(metadata ? { metadata } : {}) });
  };
  const plain = encoding === 'gzip' ? request.pipe(zlib.createGunzip()) : request;
  if (type.startsWith('application/octet-stream')) {
    if (!query.has('path')) throw new Failure(400, 'path query parameter is required for raw body upload');
    await store(query.get('path'), plain);
  } else if (type.startsWith('multipart/form-data')) {
    for (const part of parts(await body(plain), type)) {
      if (part.name === 'file') await store(query.get('path') ?? part.filename, part.content);
    }
  } else {
    throw new Failure(400, `unsupported content type: ${type}, expected multipart/form-data or application/octet-stream`);
  }
  // envd sends its JSON as text.
  send(response, 200, JSON.stringify(stored));
}

async function write(sandbox, name, source, user, metadata) {
  makeDirectories(sandbox.machine, path.posix.dirname(name), user);
  const at = sandbox.machine.inside(name);
  if (fs.statSync(at, { throwIfNoEntry: false })?.isDirectory()) throw new Failure(400, `path is a directory: ${name}`);
  const file = fs.createWriteStream(at);
  if (Buffer.isBuffer(source)) await pipeline([source], file);
  else await pipeline(source, new Transform({ transform: (chunk, _, done) => done(null, chunk) }), file);
  own(at, user);
  if (metadata) sandbox.fileMetadata.set(at, metadata);
  else sandbox.fileMetadata.delete(at);
}

function metadataOf(headers) {
  const found = Object.entries(headers).filter(([name]) => name.startsWith('x-metadata-')).map(([name, value]) => [name.slice(11), value]);
  const bad = found.find(([key, value]) => !/^[\x20-\x7e]*$/.test(key + value));
  if (bad) throw new Failure(400, `invalid metadata: "${bad[0]}" must be printable US-ASCII`);
  if (found.reduce((sum, [key, value]) => sum + key.length + value.length + 'user.e2b.'.length, 0) > MOST_METADATA) {
    throw new Failure(400, `invalid metadata: more than ${MOST_METADATA} bytes`);
  }
  return found.length ? Object.fromEntries(found) : undefined;
}

/** The parts of a form. */
function* parts(bytes, type) {
  const boundary = /boundary="?([^";]+)"?/.exec(type)?.[1];
  if (!boundary) throw new Failure(500, 'error parsing multipart form: no multipart boundary param in Content-Type');
  const mark = Buffer.from(`--${boundary}`);
  let at = bytes.indexOf(mark);
  if (at < 0) throw new Failure(500, 'error reading form: multipart: NextPart: EOF');
  for (at += mark.length; bytes.subarray(at, at + 2).toString() !== '--';) {
    const next = bytes.indexOf(Buffer.concat([Buffer.from('\r\n'), mark]), at);
    const head = bytes.indexOf('\r\n\r\n', at);
    if (next < 0 || head < 0) throw new Failure(500, 'error reading form: multipart: NextPart: unexpected EOF');
    const disposition = /content-disposition:[^\r]*/i.exec(bytes.subarray(at, head).toString())?.[0] ?? '';
    yield {
      name: /[ ;]name="([^"]*)"/.exec(disposition)?.[1], filename: /filename="([^"]*)"/.exec(disposition)?.[1] ?? '',
      content: bytes.subarray(head + 4, next),
    };
    at = next + 2 + mark.length;
  }
}
