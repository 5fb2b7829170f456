// The control plane: the REST calls on sandboxes, snapshots and templates. Two generations of create and connect stand
// side by side, as on the E2B cloud; a self-hosted cluster of an older date has only the first.
import { Failure, body, parse, send } from './http.js';
import { measure } from './metrics.js';
import { checkTimeout } from './world.js';

const DEFAULT_TIMEOUT = { v1: 15, v2: 300 };

const ROUTES = [
  ['GET', '/health', async (_, { response }) => send(response, 200, 'Health check successful')],
  ['POST', '/sandboxes', (world, call) => create(world, call, DEFAULT_TIMEOUT.v1)],
  ['POST', '/v2/sandboxes', (world, call) => create(world, call, DEFAULT_TIMEOUT.v2)],
  ['GET', '/sandboxes', async (world, { query, response }) =>
    send(response, 200, matching(world, query).filter(one => one.state === 'running').map(one => one.listed()))],
  ['GET', '/v2/sandboxes', list],
  ['GET', '/sandboxes/metrics', async (world, { query, response }) => {
    const ids = (query.get('sandbox_ids') ?? '').split(',').filter(id => world.sandboxes.has(id));
    send(response, 200, { sandboxes: Object.fromEntries(ids.map(id => [id, measure(world.sandbox(id))])) });
  }],
  ['GET', '/sandboxes/{sandboxID}', async (world, { response, id }) => send(response, 200, world.sandbox(id).detail())],
  ['DELETE', '/sandboxes/{sandboxID}', async (world, { response, id }) => {
    await world.kill(id);
    send(response, 204);
  }],
  ['GET', '/sandboxes/{sandboxID}/metrics', async (world, { response, id }) => send(response, 200, [measure(world.sandbox(id))])],
  ['POST', '/sandboxes/{sandboxID}/connect', (world, call) => connect(world, call, true)],
  ['POST', '/v2/sandboxes/{sandboxID}/connect', (world, call) => connect(world, call, false)],
  ['POST', '/sandboxes/{sandboxID}/resume', resume],
  ['POST', '/sandboxes/{sandboxID}/pause', pause],
  ['POST', '/sandboxes/{sandboxID}/timeout', async (world, { response, id, json }) => {
    const sandbox = world.sandbox(id);
    checkTimeout(json?.timeout);
    sandbox.lease(json.timeout);
    send(response, 204);
  }],
  ['POST', '/sandboxes/{sandboxID}/refreshes', async (world, { response, id, json }) => {
    world.sandbox(id).lease(json?.duration ?? DEFAULT_TIMEOUT.v1, true);
    send(response, 204);
  }],
  ['PUT', '/sandboxes/{sandboxID}/network', async (world, { response, id, json }) => {
    world.sandbox(id).network = json;
    send(response, 204);
  }],
  ['POST', '/sandboxes/{sandboxID}/fork', fork],
  ['POST', '/sandboxes/{sandboxID}/snapshots', async (world, { response, id, json }) =>
    send(response, 201, snapshotInfo(world.snapshot(running(world.sandbox(id)), json?.name)))],
  ['GET', '/snapshots', async (world, { query, response }) => {
    const all = [...world.templates.values()].filter(one => one.files)
      .filter(one => !query.get('sandboxID') || one.of === query.get('sandboxID'))
      .filter(one => !query.get('name') || one.alias === query.get('name').replace(/:default$/, ''));
    page(response, query, all.map(snapshotInfo));
  }],
  ['GET', '/templates', async (world, { response }) => send(response, 200, [...world.templates.values()].map(templateInfo))],
  ['GET', '/v2/templates', async (world, { query, response }) =>
    page(response, query, [...world.templates.values()].map(templateInfo))],
  ['GET', '/templates/aliases/{alias}', async (world, { response, id }) =>
    send(response, 200, { templateID: world.template(id).templateID, public: !world.template(id).files })],
  ['GET', '/templates/{templateID}', async (world, { query, response, id }) => {
    const one = templateInfo(world.template(id));
    page(response, query, [one], only => ({ ...only[0], builds: [buildInfo(one)] }));
  }],
  ['DELETE', '/templates/{templateID}', async (world, { response, id }) => {
    const one = world.template(id);
    if (!one.files) throw new Failure(403, `you don't have access to the template '${id}'`);
    world.templates.delete(one.templateID);
    send(response, 204);
  }],
].map(([method, template, handle]) => ({
  method, template, handle,
  pattern: new RegExp('^' + template.replace(/\{\w+\}/g, '([^/]+)') + '$'),
  newer: method === 'POST' && template.startsWith('/v2/'),
}));

export class ControlPlane {
  /** 404 or 405: answers the newer create and connect with it, as clusters do that do not know them. */
  v1Only = null;

  constructor(world, key) {
    this.world = world;
    this.key = key;
  }

  /** The route of a request, or null. */
  route(method, pathname) {
    for (const one of ROUTES) {
      const match = one.pattern.exec(pathname);
      if (one.method === method && match) return { ...one, name: `${method} ${one.template}`, id: match[1] && decodeURIComponent(match[1]) };
    }
    return null;
  }

  async serve(route, request, response, url) {
    if (request.headers['x-api-key'] !== this.key && route.template !== '/health') {
      throw new Failure(401, 'Invalid API key, please visit https://e2b.dev/docs/quickstart/api-key for more information.');
    }
    const bytes = await body(request);
    if (this.v1Only && route.newer) throw new Failure(this.v1Only, this.v1Only === 404 ? 'no matching operation was found' : 'method not allowed');
    await route.handle(this.world, { response, id: route.id, query: url.searchParams, json: parse(bytes) });
  }
}

async function create(world, { response, json }, usual) {
  if (typeof json?.templateID !== 'string') throw new Failure(400, "Error at \"/templateID\": property \"templateID\" is missing");
  const sandbox = await world.create(json, json.timeout ?? usual);
  send(response, 201, sandbox.created());
}

async function connect(world, { response, id, json }, required) {
  const sandbox = world.sandbox(id);
  const seconds = json?.timeout ?? (required ? undefined : DEFAULT_TIMEOUT.v2);
  checkTimeout(seconds);
  const paused = sandbox.state === 'paused';
  if (paused) sandbox.resume();
  sandbox.lease(seconds, !paused);
  send(response, paused ? 201 : 200, sandbox.created());
}

async function resume(world, { response, id, json }) {
  const sandbox = world.sandbox(id);
  if (sandbox.state === 'running') throw new Failure(409, `Sandbox ${id} is already running`);
  sandbox.resume();
  sandbox.lease(json?.timeout ?? DEFAULT_TIMEOUT.v1);
  send(response, 201, sandbox.created());
}

async function pause(world, { response, id }) {
  const sandbox = world.sandbox(id);
  if (sandbox.state === 'paused') throw new Failure(409, `Sandbox ${id} is already paused`);
  sandbox.pause();
  send(response, 204);
}

async function fork(world, { response, id, json }) {
  const sandbox = running(world.sandbox(id));
  const seconds = json?.timeout ?? DEFAULT_TIMEOUT.v1;
  checkTimeout(seconds);
  const results = [];
  for (let made = 0; made < (json?.count ?? 1); made++) results.push({ sandbox: (await world.fork(sandbox, seconds)).created() });
  send(response, 201, results);
}

/** The sandboxes whose metadata hold every pair that the filter names; keys and values are encoded once more in it. */
function matching(world, query) {
  const wanted = [...new URLSearchParams(query.get('metadata') ?? '')].map(pair => pair.map(decodeURIComponent));
  return [...world.sandboxes.values()].filter(one => wanted.every(([key, value]) => one.metadata[key] === value));
}

async function list(world, { query, response }) {
  const states = (query.getAll('state').join(',') || 'running,paused').split(',');
  const descending = query.get('order') !== 'asc';
  const after = query.get('startedAfter');
  const template = query.get('template');
  const all = matching(world, query)
    .filter(one => !after || one.startedAt > new Date(after))
    .filter(one => !template || one.template.templateID === template || one.template.alias === template);
  const found = all.filter(one => states.includes(one.state))
    .sort((a, b) => (a.startedAt - b.startedAt || a.id.localeCompare(b.id)) * (descending ? -1 : 1));
  const total = all.filter(one => one.state === 'running').length;
  const headers = states.includes('running') ? { 'X-Total-Running': String(total) } : {};
  page(response, query, found.map(one => one.listed()), items => items, headers);
}

function page(response, query, items, shape = page => page, headers = {}) {
  const limit = Number(query.get('limit') ?? 100);
  if (!Number.isInteger(limit) || limit < 1 || limit > 100) throw new Failure(400, 'limit must be from 1 to 100');
  const from = query.get('nextToken') ? Number(Buffer.from(query.get('nextToken'), 'base64url').toString()) : 0;
  if (!Number.isInteger(from)) throw new Failure(400, 'Invalid next token');
  const next = from + limit < items.length ? { 'X-Next-Token': Buffer.from(String(from + limit)).toString('base64url') } : {};
  send(response, 200, shape(items.slice(from, from + limit)), { ...headers, ...next });
}

function running(sandbox) {
  if (sandbox.state !== 'running') throw new Failure(409, `Sandbox ${sandbox.id} is paused`);
  return sandbox;
}

const snapshotInfo = one => ({ snapshotID: one.alias ? `double/${one.alias}:default` : `${one.templateID}:default`,
  names: one.alias ? [`double/${one.alias}:default`] : [] });

const templateInfo = one => ({
  templateID: one.templateID, buildID: BUILD, cpuCount: one.cpuCount, memoryMB: one.memoryMB, diskSizeMB: one.diskSizeMB,
  public: !one.files, aliases: one.alias ? [one.alias] : [], names: one.alias ? [one.files ? `double/${one.alias}` : one.alias] : [],
  createdAt: one.createdAt, updatedAt: one.createdAt, createdBy: null, lastSpawnedAt: null, spawnCount: one.spawnCount,
  buildCount: 1, envdVersion: '0.6.13', buildStatus: 'ready',
});

const BUILD = '00000000-0000-4000-8000-000000000000';

const buildInfo = one => ({ buildID: BUILD, status: 'ready', createdAt: one.createdAt, updatedAt: one.updatedAt,
  cpuCount: one.cpuCount, memoryMB: one.memoryMB, diskSizeMB: one.diskSizeMB, envdVersion: one.envdVersion });
