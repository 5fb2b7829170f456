// envd's file system service.
import fs from 'node:fs';
import path from 'node:path';
import { ConnectError, Stream } from './connect.js';
import { USERS } from './machine.js';

const TYPES = [['isFile', 'FILE_TYPE_FILE'], ['isDirectory', 'FILE_TYPE_DIRECTORY'], ['isSymbolicLink', 'FILE_TYPE_SYMLINK']];

/** The absolute path in the sandbox that a request means. */
export function resolve(name, user) {
  const { home } = USERS[user];
  if (typeof name !== 'string') throw new ConnectError('invalid_argument', 'unmarshal message: path is no string');
  // The path is missing from the message of envd, too.
  if (/^~[^/\\]/.test(name)) throw new ConnectError('invalid_argument', `failed to expand path '' for user '${user}': cannot expand user-specific home dir`);
  const expanded = name.replace(/^~/, home);
  return expanded.startsWith('/') ? expanded : path.posix.join(home, expanded);
}

/** Makes what is missing of a directory's path, owned by the user. */
export function makeDirectories(machine, directory, user) {
  const parts = directory.split('/').filter(Boolean);
  for (let count = 1; count <= parts.length; count++) {
    const at = machine.inside('/' + parts.slice(0, count).join('/'));
    const stat = fs.statSync(at, { throwIfNoEntry: false });
    if (stat && !stat.isDirectory()) throw new Error(`path is a file: /${parts.slice(0, count).join('/')}`);
    if (!stat) {
      fs.mkdirSync(at, { mode: 0o755 });
      own(at, user);
    }
  }
}

export function own(at, user) {
  if (process.getuid() === 0) fs.lchownSync(at, USERS[user].uid, USERS[user].uid);
}

export function entry(sandbox, name) {
  const at = sandbox.machine.inside(name, false);
  const stat = fs.lstatSync(at, { throwIfNoEntry: false });
  if (!stat) throw new ConnectError('not_found', `file not found: lstat ${name}: no such file or directory`);
  // A link has the type and the mode of what it leads to; one that leads nowhere has neither, and leads to itself.
  const link = stat.isSymbolicLink();
  const shown = link ? fs.statSync(sandbox.machine.inside(name), { throwIfNoEntry: false }) : stat;
  const who = id => Object.keys(USERS).find(user => USERS[user].uid === id) ?? String(id);
  const metadata = sandbox.fileMetadata.get(at);
  return {
    name: path.posix.basename(name) || '/', ...(shown ? { type: TYPES.find(([test]) => shown[test]())?.[1] } : {}), path: name,
    ...(stat.size ? { size: String(stat.size) } : {}), ...(shown ? { mode: shown.mode & 0o777 } : {}), permissions: permissions(stat),
    owner: who(stat.uid), group: who(stat.gid), modifiedTime: stat.mtime.toISOString(),
    ...(link ? { symlinkTarget: shown ? path.posix.resolve(path.posix.dirname(name), fs.readlinkSync(at)) : name } : {}), ...(metadata ? { metadata } : {}),
  };
}

function permissions(stat) {
  const kind = stat.isDirectory() ? 'd' : stat.isSymbolicLink() ? 'L' : '-';
  return kind + [...'rwxrwxrwx'].map((letter, at) => (stat.mode & (0o400 >> at) ? letter : '-')).join('');
}

const unary = handle => ({ handle: async call => handle(call.sandbox, call.message, call.user) });

export const FILESYSTEM = {
  Stat: unary((sandbox, { path: name = '' }, user) => ({ entry: entry(sandbox, resolve(name, user)) })),
  MakeDir: unary((sandbox, { path: name = '' }, user) => {
    const at = resolve(name, user);
    const stat = fs.statSync(sandbox.machine.inside(at), { throwIfNoEntry: false });
    if (stat?.isDirectory()) throw new ConnectError('already_exists', `directory already exists: ${at}`);
    if (stat) throw new ConnectError('invalid_argument', `path already exists but it is not a directory: ${at}`);
    makeDirectories(sandbox.machine, at, user);
    return { entry: entry(sandbox, at) };
  }),
  Move: unary((sandbox, { source = '', destination = '' }, user) => {
    const [from, to] = [resolve(source, user), resolve(destination, user)];
    makeDirectories(sandbox.machine, path.posix.dirname(to), user);
    const at = sandbox.machine.inside(from, false);
    if (!fs.lstatSync(at, { throwIfNoEntry: false })) {
      throw new ConnectError('not_found', `source file not found: rename ${from} ${to}: no such file or directory`);
    }
    fs.renameSync(at, sandbox.machine.inside(to, false));
    return { entry: entry(sandbox, to) };
  }),
  ListDir: unary((sandbox, { path: name = '', depth = 1 }, user) => {
    const at = resolve(name, user);
    const stat = fs.statSync(sandbox.machine.inside(at), { throwIfNoEntry: false });
    if (!stat) throw new ConnectError('not_found', `path not found: lstat ${at}: no such file or directory`);
    if (!stat.isDirectory()) throw new ConnectError('invalid_argument', `path is not a directory: ${at}`);
    const entries = [...walk(sandbox, at, depth || 1)];
    return entries.length ? { entries } : {};
  }),
  Remove: unary((sandbox, { path: name = '' }, user) => {
    fs.rmSync(sandbox.machine.inside(resolve(name, user), false), { recursive: true, force: true });
    return {};
  }),
  WatchDir: { streaming: true, handle: watch },
  CreateWatcher: unary((sandbox, message, user) => {
    const events = [];
    const watcherId = String(sandbox.watchers.size + 1);
    sandbox.watchers.set(watcherId, { events, stop: observe(sandbox, message, user, event => events.push(event)) });
    return { watcherId };
  }),
  GetWatcherEvents: unary((sandbox, { watcherId }) => ({ events: watcher(sandbox, watcherId).events.splice(0) })),
  RemoveWatcher: unary((sandbox, { watcherId }) => {
    watcher(sandbox, watcherId).stop();
    sandbox.watchers.delete(watcherId);
    return {};
  }),
};

function* walk(sandbox, directory, depth) {
  for (const name of fs.readdirSync(sandbox.machine.inside(directory)).sort()) {
    const one = entry(sandbox, path.posix.join(directory, name));
    yield one;
    if (depth > 1 && one.type === 'FILE_TYPE_DIRECTORY') yield* walk(sandbox, one.path, depth - 1);
  }
}

function watcher(sandbox, id) {
  const one = sandbox.watchers.get(id);
  if (!one) throw new ConnectError('not_found', `watcher with id ${id} not found`);
  return one;
}

/** Tells of changes until the answer is called. */
function observe(sandbox, { path: name = '', recursive = false, includeEntry = false }, user, tell) {
  const at = resolve(name, user);
  const place = sandbox.machine.inside(at);
  const stat = fs.statSync(place, { throwIfNoEntry: false });
  if (!stat) throw new ConnectError('not_found', `path ${at} not found: stat ${at}: no such file or directory`);
  if (!stat.isDirectory()) throw new ConnectError('invalid_argument', `path ${at} not a directory: %!w(<nil>)`);
  const known = new Set(fs.readdirSync(place, { recursive }).map(String));
  const watcher = fs.watch(place, { recursive }, (_, changed) => {
    if (!changed) return;
    const there = fs.existsSync(path.join(place, changed));
    const type = !there ? 'EVENT_TYPE_REMOVE' : known.has(changed) ? 'EVENT_TYPE_WRITE' : 'EVENT_TYPE_CREATE';
    if (there) known.add(changed);
    else known.delete(changed);
    tell({ name: changed, type, ...(includeEntry && there ? { entry: entry(sandbox, path.posix.join(at, changed)) } : {}) });
  });
  watcher.on('error', () => {});
  const forget = sandbox.onEnd(() => watcher.close());
  return () => {
    forget();
    watcher.close();
  };
}

async function watch({ sandbox, message, request, response, user }) {
  let stream;
  const stop = observe(sandbox, message, user, event => stream?.send({ filesystem: event }));
  stream = new Stream(response);
  stream.send({ start: {} });
  await new Promise(resolve => {
    response.once('close', resolve);
    const limit = Number(request.headers['connect-timeout-ms'] ?? 0);
    if (limit > 0) {
      setTimeout(() => {
        stream.end(new ConnectError('deadline_exceeded', 'context deadline exceeded'));
        resolve();
      }, limit);
    }
  });
  stop();
}
