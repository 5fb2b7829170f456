#!/usr/bin/env node
// Makes the same calls with E2B's own client and with E2Bridge against the double, and compares the requests.
// Usage: node sdk.js MODULES JAVA DOCUMENT [--write]     (scripts/compare-sdk calls it)
//   MODULES   where npm has installed what package.json names
//   JAVA      the program that runs a single Java file with E2Bridge: scripts/java
//   DOCUMENT  the page that has the table between two marks; --write puts it there
// Prints a table of all differences with their reasons; ends with 1 on one that has none, on a reason without a difference, and
// when the page has another table.
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { REASONS } from './reasons.js';

const KEY = 'e2b_' + '0'.repeat(40);
const HEADERS = ['x-api-key', 'authorization', 'x-access-token', 'content-type', 'accept', 'accept-encoding', 'connect-protocol-version',
  'connect-timeout-ms', 'keepalive-ping-interval', 'e2b-sandbox-id', 'e2b-sandbox-port', 'user-agent', 'content-encoding'];

const MARKS = ['<!-- scripts/compare-sdk --write -->\n', '<!-- end of the table -->\n'];

const [modules, java, documentFile, write] = process.argv.slice(2);
const here = name => fileURLToPath(new URL(name, import.meta.url));

async function withDouble(action) {
  const child = spawn(process.execPath, [here('../server.js'), '--modules', modules], { stdio: ['pipe', 'pipe', 'inherit'] });
  const port = await new Promise(resolve => child.stdout.once('data', data => resolve(Number(data))));
  const address = `http://127.0.0.1:${port}`;
  try {
    await action(address);
    const get = async name => (await fetch(`${address}/-/${name}`)).json();
    return { requests: await get('requests'), checks: await get('violations') };
  } finally {
    child.stdin.end();
  }
}

/** The calls with E2B's own client. */
async function reference(address) {
  Object.assign(process.env, { E2B_API_URL: address, E2B_SANDBOX_URL: address, E2B_API_KEY: KEY });
  const require = createRequire(path.join(path.resolve(modules), 'package.json'));
  const { Sandbox } = await import(pathToFileURL(require.resolve('@e2b/code-interpreter')));
  const step = name => fetch(`${address}/-/step`, { method: 'PUT', body: JSON.stringify({ name }) });
  const metadata = { 'made-by': 'compare' };
  await step('create');
  const sandbox = await Sandbox.create({ timeoutMs: 60_000, metadata });
  await step('list');
  await Sandbox.list({ query: { metadata, state: ['running'] } }).nextItems();
  await step('status');
  await sandbox.getInfo();
  await sandbox.getMetrics();
  await step('execute');
  await sandbox.commands.run('echo hello', { timeoutMs: 10_000 });
  await step('write');
  await sandbox.files.write('/home/user/file', new TextEncoder().encode('content').buffer);
  await step('read');
  await sandbox.files.read('/home/user/file', { format: 'bytes' });
  await step('code');
  await sandbox.runCode('1 + 1', { language: 'python', timeoutMs: 30_000 });
  await step('code in a context');
  await sandbox.runCode('1 + 1', { context: await sandbox.createCodeContext({ language: 'python' }), timeoutMs: 30_000 });
  await step('timeout');
  await sandbox.setTimeout(120_000);
  await step('health');
  await sandbox.isRunning();
  await step('export');
  await sandbox.createSnapshot({ name: 'compared' });
  await step('create from it');
  const copy = await Sandbox.create('compared', { timeoutMs: 60_000, metadata });
  await step('end of the copy');
  await copy.kill();
  await step('delete the template');
  await Sandbox.deleteSnapshot('compared');
  await step('deploy');
  const instance = await Sandbox.create({ timeoutMs: 300_000, metadata, envs: { A: '1' } });
  await step('scale away');
  await instance.kill();
  await step('terminate');
  await sandbox.kill();
}

async function ours(address) {
  await promisify(execFile)(java, [here('OurCalls.java'), address, KEY], { maxBuffer: 2 ** 26, env: { ...process.env, E2B_BACKEND: '' } });
}

/** A request as a flat list of what it says; what is random is named only. */
function facts({ url, headers, body, size }) {
  const { searchParams } = new URL(url, 'http://double');
  const all = {};
  for (const [name, value] of searchParams) all[`query ${name}`] = value;
  for (const name of HEADERS) if (headers[name] !== undefined) all[`header ${name}`] = headers[name];
  for (const [name, value] of Object.entries(all)) {
    if (/^header (x-access-token|e2b-sandbox-id|x-api-key)$/.test(name)) all[name] = 'set';
    all[name] = all[name].replace(/boundary=.*/, 'boundary=…');
  }
  flatten('body', body, all);
  for (const [name, value] of Object.entries(all)) {
    all[name] = value.replace(/\b(exec_|v1_)[\w+/]{20,}/, '$1…').replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/, 'a uuid').slice(0, 80);
  }
  if (body === undefined && size > 0) all.body = 'bytes';
  return all;
}

function flatten(name, value, all) {
  if (value === undefined) return;
  if (value === null || typeof value !== 'object') {
    all[name] = String(value);
  } else {
    const entries = Object.entries(value);
    if (entries.length === 0) all[name] = JSON.stringify(value);
    for (const [key, one] of entries) flatten(`${name}.${key}`, one, all);
  }
}

/** What differs: of the first request of each route in each step. */
function differences(theirs, ourRequests) {
  const rows = [];
  const first = requests => {
    const found = new Map();
    for (const one of requests) if (one.step && !found.has(`${one.step}|${one.route}`)) found.set(`${one.step}|${one.route}`, one);
    return found;
  };
  const [left, right] = [first(theirs), first(ourRequests)];
  for (const key of new Set([...left.keys(), ...right.keys()])) {
    const [step, route] = key.split('|');
    if (!left.has(key) || !right.has(key)) {
      rows.push({ step, route, what: 'request', theirs: left.has(key) ? 'sent' : '-', ours: right.has(key) ? 'sent' : '-' });
      continue;
    }
    const [a, b] = [facts(left.get(key)), facts(right.get(key))];
    for (const what of new Set([...Object.keys(a), ...Object.keys(b)])) {
      if (a[what] !== b[what]) rows.push({ step, route, what, theirs: a[what] ?? '-', ours: b[what] ?? '-' });
    }
  }
  return { rows, compared: [...left.keys()].filter(key => right.has(key)).length };
}

const their = await withDouble(reference);
const our = await withDouble(ours);
const { rows, compared } = differences(their.requests, our.requests);
const used = new Set();
const grouped = new Map();
for (const row of rows) {
  const reason = REASONS.find(one => one.matches(row));
  if (reason) used.add(reason);
  const key = reason ? `${reason.what}|${reason.why}` : `${row.route}|${row.what}|${row.theirs}|${row.ours}`;
  const group = grouped.get(key) ?? { reason, routes: new Set(), example: row };
  group.routes.add(row.route);
  grouped.set(key, group);
}
const cell = text => String(text).replaceAll('|', '\\|').replaceAll('\n', ' ');
const lines = ['| requests | what | e2b | E2Bridge | reason |', '|---|---|---|---|---|'];
for (const { reason, routes, example } of [...grouped.values()].sort((a, b) => [...a.routes][0].localeCompare([...b.routes][0]))) {
  const where = routes.size > 4 ? `${routes.size} of them` : [...routes].map(one => `\`${one}\``).join(', ');
  lines.push(`| ${where} | ${reason?.what ?? example.what} | \`${cell(example.theirs)}\` | \`${cell(example.ours)}\` | ${reason?.why ?? '**none**'} |`);
}
const table = lines.join('\n') + '\n';
const unexplained = [...grouped.values()].filter(one => !one.reason);
const stale = REASONS.filter(one => !used.has(one));
console.log(`${table}\n${compared} requests were compared, ${rows.length} differences, ${unexplained.length} without a reason.`);
for (const one of stale) console.log(`This reason explains nothing any more: ${one.what}: ${one.why}`);
for (const [name, { checks }] of [['e2b', their], ['E2Bridge', our]]) {
  for (const one of checks.skipped) console.log(`Not checked: ${one}`);
  for (const one of checks.violations) console.log(`${name} against the published documents: ${one.request}: ${one.problem}`);
}
const page = fs.readFileSync(documentFile, 'utf8');
const [from, to] = [page.indexOf(MARKS[0]) + MARKS[0].length, page.indexOf(MARKS[1])];
const current = page.slice(from, to) === table;
if (write === '--write') fs.writeFileSync(documentFile, page.slice(0, from) + table + page.slice(to));
else if (!current) console.log(`${documentFile} has another table: scripts/compare-sdk --write`);
const wrong = unexplained.length || stale.length || our.checks.violations.length || (!current && write !== '--write');
process.exitCode = wrong ? 1 : 0;
