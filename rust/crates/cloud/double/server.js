#!/usr/bin/env node
// A double of the E2B services: control plane, envd and code interpreter on one port of the loopback address.
// Usage: node server.js [--port N] [--spec DIR] [--modules DIR] [--key KEY]
//   --port     default 0: any free one; the first line on standard output is its number
//   --spec     where openapi.yml and envd.yaml are; default $E2B_SPEC_DIR, else shared/e2b beside the repository
//   --modules  where npm has installed what package.json names; default rust/target/tools/double
//   --key      the API key that it accepts; default e2b_ and forty zeros
// It ends when its standard input does. README.md beside this file describes what it can be asked and told.
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Checker } from './lib/check.js';
import { ControlPlane } from './lib/control.js';
import { dataRoute, serveData, target } from './lib/data.js';
import { Faults } from './lib/faults.js';
import { Failure, body, parse, send, sendFailure } from './lib/http.js';
import { Ledger, tap } from './lib/ledger.js';
import { World } from './lib/world.js';

const ADMIN = '/-/';
const root = fileURLToPath(new URL('../../../../', import.meta.url));
const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    spec: { type: 'string', default: process.env.E2B_SPEC_DIR ?? path.join(root, '../shared/e2b') },
    modules: { type: 'string', default: path.join(root, 'rust/target/tools/double') },
    key: { type: 'string', default: 'e2b_' + '0'.repeat(40) },
  },
});

const world = new World();
const control = new ControlPlane(world, options.key);
const checker = new Checker(options.modules, options.spec);
const faults = new Faults();
const ledger = new Ledger();

const admin = {
  'GET requests': () => ledger.requests,
  'DELETE requests': () => ledger.forget(),
  'PUT step': ({ name = null }) => {
    ledger.step = name;
  },
  'GET violations': () => ({ checked: checker.checked, skipped: checker.skipped, violations: checker.violations }),
  'GET stats': () => ({
    counts: ledger.counts, creates: world.creates, sandboxes: world.sandboxes.size, openConnections: ledger.open.size,
    openAfter: [...ledger.open].map(socket => socket.lastRoute ?? 'nothing'),
    connections: ledger.total, processes: [...world.sandboxes.values()].reduce((sum, one) => sum + one.processes.size, 0),
  }),
  'POST faults': fault => faults.add(fault),
  'DELETE faults': () => faults.clear(),
  'PUT mode': ({ v1Only = null }) => {
    if (![null, 404, 405].includes(v1Only)) throw new Failure(400, 'v1Only is null, 404 or 405');
    control.v1Only = v1Only;
  },
};

async function administrate(request, response, name) {
  ledger.administrative(request.socket);
  const action = admin[`${request.method} ${name}`];
  if (!action) throw new Failure(404, `ask for one of ${Object.keys(admin).join(', ')}`);
  const answer = action(parse(await body(request)) ?? {});
  send(response, answer === undefined ? 204 : 200, answer);
}

async function serve(request, response) {
  const url = new URL(request.url, 'http://double');
  if (url.pathname.startsWith(ADMIN)) return administrate(request, response, url.pathname.slice(ADMIN.length));
  const meant = target(request);
  const route = meant ? dataRoute(meant, request.method, url.pathname) : control.route(request.method, url.pathname);
  const plane = meant ? route.plane : 'control';
  const record = ledger.note(request, plane, route?.name ?? `${request.method} ${url.pathname}`);
  if (!route) throw new Failure(404, 'no matching operation was found');
  tap(request, record, () => checker.check(plane, record, checkedBody(record)));
  if (faults.apply(record.route, { request, response, streaming: route.procedure?.streaming })) return undefined;
  return meant ? serveData(world, meant, route, request, response, url) : control.serve(route, request, response, url);
}

/** The body as it is checked. Of a file, only that there is one: the validator knows a body of plain bytes as that of a form. */
function checkedBody({ body: json, headers }) {
  return /^(multipart\/form-data|application\/octet-stream)/.test(headers['content-type'] ?? '') ? { file: 'bytes' } : json;
}

const server = http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  serve(request, response).catch(error => sendFailure(response, error));
});
server.on('connection', socket => ledger.connection(socket));
server.on('clientError', (_, socket) => socket.destroy());
server.listen(Number(options.port), '127.0.0.1', () => console.log(server.address().port));

async function end() {
  server.close();
  server.closeAllConnections();
  await world.end();
  process.exit(0);
}
process.stdin.on('end', end).on('error', end).resume();
process.on('SIGTERM', end);
process.on('SIGINT', end);
