// The requests that no published OpenAPI document describes, in the form of one: envd's procedures, after its .proto files, and the
// code interpreter.
const object = (properties, required = []) => ({ type: 'object', additionalProperties: false, properties, required });
const text = { type: 'string' };
const count = { type: 'integer', minimum: 0, maximum: 4294967295 };
const bytes = { type: 'string', pattern: '^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$' };
const texts = { type: 'object', additionalProperties: text };

const selector = { ...object({ pid: count, tag: text }), minProperties: 1, maxProperties: 1 };
const input = { ...object({ stdin: bytes, pty: bytes }), minProperties: 1, maxProperties: 1 };
const pty = object({ size: object({ cols: count, rows: count }) });
const watch = object({ path: text, recursive: { type: 'boolean' }, includeEntry: { type: 'boolean' }, allowNetworkMounts: { type: 'boolean' } }, ['path']);
const watcher = object({ watcherId: text }, ['watcherId']);
const named = object({ path: text }, ['path']);

const PROCEDURES = {
  'process.Process': {
    List: object({}),
    Connect: object({ process: selector }, ['process']),
    Start: object({ process: object({ cmd: text, args: { type: 'array', items: text }, envs: texts, cwd: text }, ['cmd']), pty, tag: text, stdin: { type: 'boolean' } }, ['process']),
    Update: object({ process: selector, pty }, ['process']),
    StreamInput: object({ start: object({ process: selector }), data: object({ input }), keepalive: object({}) }),
    SendInput: object({ process: selector, input }, ['process', 'input']),
    SendSignal: object({ process: selector, signal: { type: 'string', enum: ['SIGNAL_SIGTERM', 'SIGNAL_SIGKILL'] } }, ['process', 'signal']),
    CloseStdin: object({ process: selector }, ['process']),
  },
  'filesystem.Filesystem': {
    Stat: named, MakeDir: named, Remove: named,
    Move: object({ source: text, destination: text }, ['source', 'destination']),
    ListDir: object({ path: text, depth: count }, ['path']),
    WatchDir: watch, CreateWatcher: watch, GetWatcherEvents: watcher, RemoveWatcher: watcher,
  },
};

const header = (name, schema = text, required = true) => ({ name, in: 'header', required, schema });
const contextId = { name: 'contextId', in: 'path', required: true, schema: text };
const json = schema => ({ required: true, content: { 'application/json': { schema } } });

function procedure(schema) {
  return {
    parameters: [header('connect-protocol-version', { type: 'string', enum: ['1'] }), header('x-access-token'),
      header('connect-timeout-ms', { type: 'string', pattern: '^[0-9]{1,10}$' }, false)],
    requestBody: json(schema),
    responses: {},
  };
}

const INTERPRETER = {
  '/execute': { post: { requestBody: json(object({ code: text, context_id: { ...text, nullable: true }, language: { ...text, nullable: true }, env_vars: { ...texts, nullable: true } }, ['code'])), responses: {} } },
  '/contexts': { get: { responses: {} }, post: { requestBody: json(object({ language: text, cwd: text })), responses: {} } },
  '/contexts/{contextId}': { delete: { parameters: [contextId], responses: {} } },
  '/contexts/{contextId}/restart': { post: { parameters: [contextId], responses: {} } },
};

const document = paths => ({ openapi: '3.0.0', info: { title: 'what is not published', version: '1' }, paths });

export const PROCEDURE_DOCUMENT = document(Object.fromEntries(Object.entries(PROCEDURES).flatMap(([service, calls]) =>
  Object.entries(calls).map(([name, schema]) => [`/${service}/${name}`, { post: procedure(schema) }]))));

export const INTERPRETER_DOCUMENT = document(INTERPRETER);
