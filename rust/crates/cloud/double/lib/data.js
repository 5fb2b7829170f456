// The data plane: finds the sandbox that a request means, and its service.
import { ConnectError, messages, sendConnectError, sendUnary } from './connect.js';
import { FILESYSTEM } from './filesystem.js';
import { download, upload } from './files.js';
import { Failure, send } from './http.js';
import { Interpreter } from './interpreter.js';
import { USERS } from './machine.js';
import { envdMetrics } from './metrics.js';
import { PROCESS } from './process.js';

const ENVD_PORT = '49983';
const INTERPRETER_PORT = '49999';
const SERVICES = { 'process.Process': PROCESS, 'filesystem.Filesystem': FILESYSTEM };

/** Which sandbox and port a request means, or null when it is none of the data plane's. */
export function target(request) {
  const id = request.headers['e2b-sandbox-id'];
  const port = request.headers['e2b-sandbox-port'];
  if (id !== undefined || port !== undefined) return { id, port };
  const [, byPort, byId] = /^(\d+)-([a-z0-9]+)\./.exec(request.headers.host ?? '') ?? [];
  return byId ? { id: byId, port: byPort } : null;
}

/** What a request to a sandbox asks for: the plane it is checked as, and its name in the counts. */
export function dataRoute({ port }, method, pathname) {
  const [, service, name] = /^\/([\w.]+)\/(\w+)$/.exec(pathname) ?? [];
  const procedure = port === ENVD_PORT ? SERVICES[service]?.[name] : undefined;
  if (procedure) return { plane: 'procedures', name: pathname, procedure };
  const template = pathname.replace(/^\/contexts\/[^/]+/, '/contexts/{contextId}');
  return { plane: port === INTERPRETER_PORT ? 'interpreter' : 'files', name: `${method} ${template}` };
}

function find(world, { id, port }) {
  if (id === undefined || port === undefined) throw new Failure(400, `missing header: ${id === undefined ? 'e2b-sandbox-id' : 'e2b-sandbox-port'}`);
  const sandbox = world.sandboxes.get(id);
  const gone = message => new Failure(502, message, { document: { sandboxId: id, code: 502 } });
  if (!sandbox) throw gone('The sandbox was not found');
  if (sandbox.state === 'paused') {
    if (!sandbox.autoResume) throw gone('The sandbox was not found');
    sandbox.resume();
  }
  if (port !== ENVD_PORT && port !== INTERPRETER_PORT) throw new Failure(502, 'The sandbox is running but port is not open', { document: { sandboxId: id, port: Number(port), code: 502 } });
  return sandbox;
}

export async function serveData(world, meant, route, request, response, url) {
  const sandbox = find(world, meant);
  // A sandbox that ends takes its connections with it.
  const forget = sandbox.onEnd(() => request.socket.destroy());
  response.once('close', forget);
  if (route.plane === 'interpreter') {
    sandbox.interpreter ??= new Interpreter(sandbox);
    await sandbox.interpreter.serve(url.pathname, request, response).catch(error => {
      if (error.plain) send(response, error.status, error.message);
      else throw error;
    });
  } else if (route.procedure) {
    authorize(sandbox, request);
    await call(sandbox, route.procedure, request, response);
  } else {
    await http(sandbox, request, response, url);
  }
}

function authorize(sandbox, request) {
  if (request.headers['x-access-token'] !== sandbox.token) {
    throw new Failure(401, 'unauthorized access, please provide a valid access token or method signing if supported');
  }
}

async function call(sandbox, procedure, request, response) {
  const streaming = procedure.streaming === true;
  try {
    const user = userOf(request);
    const wanted = streaming ? 'application/connect+json' : 'application/json';
    if (!(request.headers['content-type'] ?? '').startsWith(wanted)) throw new Failure(415, 'unsupported media type');
    const all = await messages(request, streaming);
    const answer = await procedure.handle({ sandbox, message: all[0] ?? {}, all, request, response, user });
    if (!streaming) sendUnary(response, answer);
  } catch (error) {
    if (error instanceof Failure) throw error;
    sendConnectError(response, error, streaming);
  }
}

function userOf(request) {
  const [, basic] = /^Basic (.*)$/.exec(request.headers.authorization ?? '') ?? [];
  const name = basic === undefined ? 'user' : Buffer.from(basic, 'base64').toString().split(':')[0];
  if (!USERS[name]) throw new ConnectError('unauthenticated', `invalid username: '${name}'`);
  return name;
}

async function http(sandbox, request, response, url) {
  const what = `${request.method} ${url.pathname}`;
  if (what === 'GET /files') return download(sandbox, request, response, url.searchParams);
  if (what === 'POST /files') return upload(sandbox, request, response, url.searchParams);
  if (what === 'GET /health') return send(response, 204);
  authorize(sandbox, request);
  if (what === 'GET /metrics') return send(response, 200, envdMetrics(sandbox));
  if (what === 'GET /envs') return send(response, 200, sandbox.envs);
  return send(response, 404, '404 page not found\n');
}
