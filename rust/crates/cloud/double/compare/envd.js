#!/usr/bin/env node
// Sends the same requests to an envd and to the double, and prints where the answers differ.
// Usage: node compare/envd.js ENVD_URL TOKEN
//   ENVD_URL  an envd that runs already, whose user `user` has the home /home/user and whose access token is TOKEN
// What differs from run to run (process ids, times, sizes of directories) is left out. Ends with 1 on a difference that
// EXPECTED does not explain.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import zlib from 'node:zlib';
import { frame } from '../lib/connect.js';
import { signature } from '../lib/files.js';

const KEY = 'e2b_' + '0'.repeat(40);

/** Differences that are known, with the reason. */
const EXPECTED = {
  'a terminal': 'the double has no terminals, which no call of the client uses',
  'a program that does not exist': 'the message is that of the shell and of nice, in their versions',
};

class Service {
  constructor(base, token, headers = {}) {
    Object.assign(this, { base, token, headers });
  }

  async http(method, path, { body, headers = {}, token = this.token } = {}) {
    const auth = token === null ? {} : { 'x-access-token': token };
    const response = await fetch(this.base + path, { method, body, duplex: 'half', headers: { ...this.headers, ...auth, ...headers } });
    const bytes = Buffer.from(await response.arrayBuffer());
    return { status: response.status, type: response.headers.get('content-type'), bytes, headers: response.headers };
  }

  async unary(procedure, message, options = {}) {
    const { status, type, bytes } = await this.http('POST', procedure, {
      ...options, body: typeof message === 'string' ? message : JSON.stringify(message),
      headers: { 'content-type': 'application/json', 'connect-protocol-version': '1', ...options.headers },
    });
    return { status, type, body: json(bytes) };
  }

  /** The messages of a stream; those of output are put together, since where they are cut is chance. */
  async stream(procedure, message, { headers = {}, token = this.token, watch = () => {} } = {}) {
    const response = await fetch(this.base + procedure, {
      method: 'POST', body: frame(0, message),
      headers: { ...this.headers, ...(token === null ? {} : { 'x-access-token': token }), 'content-type': 'application/connect+json', 'connect-protocol-version': '1', ...headers },
    });
    let held = Buffer.alloc(0);
    const events = [];
    const output = { stdout: '', stderr: '' };
    if (!response.headers.get('content-type')?.includes('connect')) {
      return { status: response.status, body: json(Buffer.from(await response.arrayBuffer())) };
    }
    for await (const chunk of response.body) {
      held = Buffer.concat([held, chunk]);
      for (; held.length >= 5 && held.length >= 5 + held.readUInt32BE(1); held = held.subarray(5 + held.readUInt32BE(1))) {
        const value = JSON.parse(held.subarray(5, 5 + held.readUInt32BE(1)));
        const data = value.event?.data;
        if (data) for (const [name, bytes] of Object.entries(data)) output[name] = (output[name] ?? '') + Buffer.from(bytes, 'base64');
        else events.push({ flags: held[0], ...value });
        watch(value);
      }
    }
    return { status: response.status, type: response.headers.get('content-type'), events, output };
  }

  run(command, more = {}, options = {}) {
    return this.stream('/process.Process/Start', { process: { cmd: '/bin/bash', args: ['-c', command], envs: {}, cwd: '/home/user' }, stdin: false, ...more }, options);
  }
}

function json(bytes) {
  const text = bytes.toString();
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Starts a program, does something with its id while it runs, and answers both. */
async function meanwhile(service, command, more, action, options) {
  let done;
  const ended = service.run(command, more, { ...options, watch: value => value.event?.start && (done ??= action(value.event.start.pid)) });
  return { stream: await ended, action: await done };
}

const START = '/process.Process/Start';
const FILES = '/filesystem.Filesystem/';
const select = pid => ({ process: { pid } });
const base64 = text => Buffer.from(text).toString('base64');

const CASES = {
  'output and status 0': s => s.run('echo out; echo err >&2'),
  'status 3': s => s.run('exit 3'),
  'a signal': s => s.run('kill -9 $$'),
  'a program that does not exist': s => s.stream(START, { process: { cmd: 'no-such-program', args: [] }, stdin: false }),
  'no directory of work': s => s.run('true', { process: { cmd: 'true', cwd: '/no/such' } }),
  'the usual directory of work': s => s.stream(START, { process: { cmd: 'pwd' }, stdin: false }),
  'environment': s => s.stream(START, { process: { cmd: '/bin/sh', args: ['-c', 'echo $A $HOME $USER $LOGNAME'], envs: { A: '1' } }, stdin: false }),
  'the other user': s => s.stream(START, { process: { cmd: 'id', args: ['-un'] }, stdin: false }, { headers: { authorization: 'Basic ' + base64('root:') } }),
  'an unknown user': s => s.stream(START, { process: { cmd: 'id' } }, { headers: { authorization: 'Basic ' + base64('nobody-here:') } }),
  'an unknown user, unary': s => s.unary('/process.Process/List', {}, { headers: { authorization: 'Basic ' + base64('nobody-here:') } }),
  'no input': s => s.run('cat; echo end'),
  'large output': async s => {
    const { events, output } = await s.run('head -c 5000000 /dev/zero | tr "\\0" a');
    return { events, length: output.stdout.length };
  },
  'a child that keeps the output': s => s.run('(sleep 1; echo late) & echo first'),
  'a time-out': s => s.run('echo first; sleep 30', {}, { headers: { 'connect-timeout-ms': '700' } }),
  'no terminal to resize': s => meanwhile(s, 'sleep 1', {}, pid => s.unary('/process.Process/Update', { ...select(pid), pty: { size: { cols: 80, rows: 24 } } })),
  'a terminal': async s => (await s.run('true', { pty: { size: { cols: 80, rows: 24 } } })).events?.length,
  'SIGTERM': s => meanwhile(s, 'exec sleep 30', {}, pid => s.unary('/process.Process/SendSignal', { ...select(pid), signal: 'SIGNAL_SIGTERM' })),
  'SIGKILL': s => meanwhile(s, 'exec sleep 30', {}, pid => s.unary('/process.Process/SendSignal', { ...select(pid), signal: 'SIGNAL_SIGKILL' })),
  'no such signal': s => meanwhile(s, 'sleep 1', {}, pid => s.unary('/process.Process/SendSignal', { ...select(pid) })),
  'a signal that is no word': s => meanwhile(s, 'sleep 1', {}, pid => s.unary('/process.Process/SendSignal', { ...select(pid), signal: 'SIGNAL_NONE' })),
  'a signal for nobody': s => s.unary('/process.Process/SendSignal', { ...select(999999), signal: 'SIGNAL_SIGKILL' }),
  'input and its end': s => meanwhile(s, 'cat', { stdin: true }, async pid => [
    await s.unary('/process.Process/SendInput', { ...select(pid), input: { stdin: base64('hello\n') } }),
    await s.unary('/process.Process/CloseStdin', select(pid))]),
  'input that is not open': s => meanwhile(s, 'sleep 1', {}, pid => s.unary('/process.Process/SendInput', { ...select(pid), input: { stdin: base64('x') } })),
  'the list': s => meanwhile(s, 'sleep 1', { tag: 'one' }, () => s.unary('/process.Process/List', {})),
  'connect by tag': s => meanwhile(s, 'sleep 0.5; echo later', { tag: 'two' }, () => s.stream('/process.Process/Connect', { process: { tag: 'two' } })),
  'connect after the end': async s => {
    let pid;
    await s.run('exit 4', {}, { watch: value => (pid ??= value.event?.start?.pid) });
    return s.stream('/process.Process/Connect', select(pid));
  },
  'connect to nobody': s => s.stream('/process.Process/Connect', select(999999)),
  'no selector': s => s.stream('/process.Process/Connect', {}),
  'a frame that is not JSON': s => s.stream(START, 'text'),
  'a body that is not JSON': s => s.unary('/process.Process/List', '{'),
  'a wrong type': s => s.unary(FILES + 'Stat', { path: 5 }),
  'an unknown field': s => s.unary('/process.Process/List', { nonsense: 1 }),
  'an unknown procedure': s => s.unary('/process.Process/Nothing', {}),
  'a wrong token': s => s.unary('/process.Process/List', {}, { token: 'wrong' }),
  'a wrong token, streaming': s => s.run('true', {}, { token: 'wrong' }),
  'stat of a file': async s => {
    await s.http('POST', '/files?path=one.txt', { body: 'hello', headers: { 'content-type': 'application/octet-stream' } });
    return s.unary(FILES + 'Stat', { path: 'one.txt' });
  },
  'stat of nothing': s => s.unary(FILES + 'Stat', { path: '/home/user/nothing' }),
  'stat of a link': async s => {
    await s.run('ln -sf one.txt link');
    return s.unary(FILES + 'Stat', { path: '/home/user/link' });
  },
  'stat of a link to nothing': async s => {
    await s.run('ln -sf /no/such dangling');
    return s.unary(FILES + 'Stat', { path: '/home/user/dangling' });
  },
  'make a directory': s => s.unary(FILES + 'MakeDir', { path: 'd1/d2' }),
  'make it again': s => s.unary(FILES + 'MakeDir', { path: 'd1/d2' }),
  'make one where a file is': s => s.unary(FILES + 'MakeDir', { path: 'one.txt' }),
  'list a directory': s => s.unary(FILES + 'ListDir', { path: '/home/user', depth: 2 }),
  'list an empty one': s => s.unary(FILES + 'ListDir', { path: 'd1/d2' }),
  'list nothing': s => s.unary(FILES + 'ListDir', { path: 'nothing' }),
  'list a file': s => s.unary(FILES + 'ListDir', { path: 'one.txt' }),
  'move': s => s.unary(FILES + 'Move', { source: 'one.txt', destination: 'd1/two.txt' }),
  'move nothing': s => s.unary(FILES + 'Move', { source: 'nothing', destination: 'there' }),
  'somebody\'s home': s => s.unary(FILES + 'Stat', { path: '~other/x' }),
  'one\'s own home': s => s.unary(FILES + 'Stat', { path: '~/d1' }),
  'remove nothing': s => s.unary(FILES + 'Remove', { path: 'nothing' }),
  'remove a tree': s => s.unary(FILES + 'Remove', { path: 'd1' }),
  'watch a file': async s => {
    await s.run('touch file');
    return s.stream(FILES + 'WatchDir', { path: 'file' });
  },
  'watch nothing': s => s.stream(FILES + 'WatchDir', { path: 'nothing' }),
  'upload as it is': s => file(s.http('POST', '/files?path=/home/user/new/a.bin', { body: Buffer.from([0, 1, 255]), headers: { 'content-type': 'application/octet-stream' } })),
  'download': s => file(s.http('GET', '/files?path=new/a.bin', { headers: { 'accept-encoding': 'identity' } })),
  'download a part': s => file(s.http('GET', '/files?path=new/a.bin', { headers: { 'accept-encoding': 'identity', range: 'bytes=1-1' } })),
  'download compressed': s => file(s.http('GET', '/files?path=new/a.bin', { headers: { 'accept-encoding': 'gzip' } })),
  'upload compressed': s => file(s.http('POST', '/files?path=z.txt', { body: zlib.gzipSync('zipped'), headers: { 'content-type': 'application/octet-stream', 'content-encoding': 'gzip' } })),
  'it is unpacked': s => file(s.http('GET', '/files?path=z.txt', { headers: { 'accept-encoding': 'identity' } })),
  'upload a form': s => {
    const form = new FormData();
    form.append('file', new Blob(['one']), 'f1.txt');
    form.append('file', new Blob(['two']), '/home/user/deep/f2.txt');
    return file(s.http('POST', '/files', { body: form }));
  },
  'the same path twice': s => {
    const form = new FormData();
    form.append('file', new Blob(['one']), 'same.txt');
    form.append('file', new Blob(['two']), 'same.txt');
    return file(s.http('POST', '/files', { body: form }));
  },
  'upload of another type': s => file(s.http('POST', '/files?path=x', { body: 'x', headers: { 'content-type': 'text/plain' } })),
  'upload without a path': s => file(s.http('POST', '/files', { body: 'x', headers: { 'content-type': 'application/octet-stream' } })),
  'upload onto a directory': s => file(s.http('POST', '/files?path=/home/user/deep', { body: 'x', headers: { 'content-type': 'application/octet-stream' } })),
  'download nothing': s => file(s.http('GET', '/files?path=nothing')),
  'download a directory': s => file(s.http('GET', '/files?path=/home/user/deep')),
  'download as nobody': s => file(s.http('GET', '/files?path=z.txt&username=nobody-here')),
  'an empty file': async s => [
    await file(s.http('POST', '/files?path=empty', { body: '', headers: { 'content-type': 'application/octet-stream' } })),
    await file(s.http('GET', '/files?path=empty', { headers: { 'accept-encoding': 'identity' } })),
    await s.unary(FILES + 'Stat', { path: 'empty' })],
  'no signature': s => file(s.http('GET', '/files?path=z.txt', { token: null })),
  'a signature': s => file(s.http('GET', `/files?path=z.txt&signature=${encodeURIComponent(signature('z.txt', 'read', '', s.token))}`, { token: null, headers: { 'accept-encoding': 'identity' } })),
  'a wrong signature': s => file(s.http('GET', '/files?path=z.txt&signature=v1_x', { token: null })),
  'a signature that has ended': s => file(s.http('GET', `/files?path=z.txt&signature_expiration=1000&signature=${encodeURIComponent(signature('z.txt', 'read', '', s.token, 1000))}`, { token: null })),
  'a wrong token for files': s => file(s.http('GET', '/files?path=z.txt', { token: 'wrong' })),
  'health': s => file(s.http('GET', '/health', { token: null })),
  'the keys of the metrics': async s => Object.keys(json((await s.http('GET', '/metrics')).bytes)).sort(),
  'metrics without a token': s => file(s.http('GET', '/metrics', { token: null })),
  'an unknown path': s => file(s.http('GET', '/nothing')),
};

async function file(answer) {
  const { status, type, bytes, headers } = await answer;
  return { status, type: type || null, range: headers.get('content-range'), disposition: headers.get('content-disposition'), vary: headers.get('vary'), body: json(bytes) };
}

/** Without what differs from run to run. */
function plain(value) {
  return JSON.stringify(value, (key, one) => {
    if (key === 'pid') return 'PID';
    if (key === 'modifiedTime') return 'TIME';
    if (key === 'vary' && one === 'Origin') return null;
    if (one?.type === 'FILE_TYPE_DIRECTORY') return { ...one, type: 'a directory', size: 'SIZE' };
    return typeof one === 'string' ? one.replace(/pid \d+|process '\d+'/g, 'PID').replace(/^(unmarshal message: ).*/, '$1...') : one;
  })?.replace(/"entries":(\[.*\])/, (_, entries) => '"entries":' + JSON.stringify(JSON.parse(entries).sort((a, b) => (a.path < b.path ? -1 : 1))));
}

async function startDouble() {
  const child = spawn(process.execPath, [fileURLToPath(new URL('../server.js', import.meta.url))], { stdio: ['pipe', 'pipe', 'inherit'] });
  const port = await new Promise(resolve => child.stdout.once('data', data => resolve(Number(data))));
  const base = `http://127.0.0.1:${port}`;
  const created = await (await fetch(base + '/v2/sandboxes', {
    method: 'POST', headers: { 'x-api-key': KEY, 'content-type': 'application/json' }, body: JSON.stringify({ templateID: 'base', timeout: 600 }),
  })).json();
  const headers = { 'e2b-sandbox-id': created.sandboxID, 'e2b-sandbox-port': '49983' };
  return { service: new Service(base, created.envdAccessToken, headers), end: () => child.stdin.end() };
}

const [url, token] = process.argv.slice(2);
if (!url || !token) {
  console.error('usage: node compare/envd.js ENVD_URL TOKEN');
  process.exit(2);
}
const envd = new Service(url, token);
const double = await startDouble();
let unexplained = 0;
const attempt = (one, service) => Promise.race([one(service), sleep(15_000, 'no answer in 15 s', { ref: false })]).catch(error => `failed: ${error.cause?.message ?? error.message}`);
for (const [name, one] of Object.entries(CASES)) {
  const [theirs, ours] = [plain(await attempt(one, envd)), plain(await attempt(one, double.service))];
  const known = EXPECTED[name];
  if (theirs !== ours && !known) unexplained++;
  console.log(`${theirs === ours ? 'same     ' : known ? 'known    ' : 'DIFFERENT'} ${name}${theirs !== ours && known ? `: ${known}` : ''}`);
  if (theirs !== ours && !known) console.log(`    envd   ${theirs}\n    double ${ours}`);
}
console.log(`${Object.keys(CASES).length} requests, ${unexplained} with a difference that is not explained`);
double.end();
process.exitCode = unexplained ? 1 : 0;
