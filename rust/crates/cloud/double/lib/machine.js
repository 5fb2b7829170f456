// The inside of one sandbox of the double: a directory as its root, and real processes in it, as local children. A mount and a
// pid namespace give them the paths that a client sees (/home/user, /data) and let all of them end at once. This is no
// sandbox: nothing is kept from the code that runs here, so run only code of the tests.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const DIRECTORIES = ['home/user', 'root', 'data', 'opt', 'srv', 'tmp', 'var/tmp', 'usr', 'etc', 'dev', 'proc', 'run'];
const OF_USER = ['home/user', 'data', 'opt', 'srv'];
const KEPT_BY_A_SNAPSHOT = ['home', 'data', 'opt', 'srv', 'var', 'root'];
const ETC_OF_HOST = ['alternatives', 'ssl', 'ld.so.cache', 'python3', 'localtime'];
const FIXED_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const AS_ROOT = process.getuid() === 0;

export const USERS = { root: { uid: 0, home: '/root' }, user: { uid: 1000, home: '/home/user' } };

// The first process of the sandbox. SIGCHLD stays ignored across exec, so that orphans are reaped by the kernel.
const SETUP = `
set -e
root=$1
mount --bind "$root" "$root"
mount --rbind /usr "$root/usr"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
for one in ${ETC_OF_HOST.join(' ')}; do
  [ -e "/etc/$one" ] || continue
  if [ -d "/etc/$one" ]; then mkdir "$root/etc/$one"; else : >"$root/etc/$one"; fi
  mount --rbind "/etc/$one" "$root/etc/$one"
done
exec chroot "$root" /bin/sh -c 'trap "" CHLD; echo ready; exec sleep infinity'
`;

export class Machine {
  #init;
  #pid;
  children = new Set();

  constructor(directory) {
    this.directory = directory;
  }

  /** Makes the root, as a copy of the files at `from` where that is given, and starts the first process. */
  async start(from) {
    fs.mkdirSync(this.directory, { mode: 0o755 });
    for (const one of DIRECTORIES) fs.mkdirSync(path.join(this.directory, one), { recursive: true });
    for (const one of ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32']) {
      if (fs.existsSync('/' + one)) fs.symlinkSync('usr/' + one, path.join(this.directory, one));
    }
    for (const one of ['tmp', 'var/tmp']) fs.chmodSync(path.join(this.directory, one), 0o1777);
    if (from) copy(from, this.directory);
    if (AS_ROOT) for (const one of OF_USER) fs.chownSync(path.join(this.directory, one), 1000, 1000);
    this.#etc();
    await this.#begin();
  }

  #etc() {
    const write = (name, lines) => fs.writeFileSync(path.join(this.directory, 'etc', name), lines.join('\n') + '\n');
    write('passwd', ['root:x:0:0:root:/root:/bin/bash', 'user:x:1000:1000::/home/user:/bin/bash']);
    write('group', ['root:x:0:', 'user:x:1000:']);
    write('hosts', ['127.0.0.1 localhost']);
  }

  #begin() {
    const own = AS_ROOT ? [] : ['--user', '--map-root-user'];
    const init = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', 'unshare', ...own, '--mount', '--pid', '--ipc', '--uts', '--fork', '--kill-child', '--propagation',
        'private', '/bin/sh', '-c', SETUP, 'setup', this.directory],
      { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#init = init;
    return new Promise((resolve, reject) => {
      let said = '';
      init.stderr.on('data', data => (said += data));
      init.on('error', reject);
      init.on('exit', () => reject(new Error(`a sandbox of the double did not start: ${said}`)));
      init.stdout.once('data', () => {
        this.#pid = Number(fs.readFileSync(`/proc/${init.pid}/task/${init.pid}/children`, 'utf8').trim().split(' ')[0]);
        resolve();
      });
    });
  }

  /** Where the files are for a process of the host: with the mounts that only the sandbox has. */
  get view() {
    return `/proc/${this.#pid}/root`;
  }

  /** The path on the host of a path in the sandbox; links are followed inside it, the last one only if `follow`. */
  inside(name, follow = true) {
    const parts = path.posix.normalize('/' + name).split('/').filter(Boolean);
    let done = [];
    for (let links = 0; parts.length > 0;) {
      const part = parts.shift();
      if (part === '..') {
        done.pop();
        continue;
      }
      const here = path.join(this.view, ...done, part);
      let target = null;
      if (follow || parts.length > 0) {
        try {
          target = fs.readlinkSync(here);
        } catch {
          // no link
        }
      }
      if (target === null) {
        done.push(part);
      } else {
        if (++links > 255) throw Object.assign(new Error('too many links'), { code: 'ELOOP' });
        if (target.startsWith('/')) done = [];
        parts.unshift(...target.split('/').filter(one => one && one !== '.'));
      }
    }
    return path.join(this.view, ...done);
  }

  /** Starts a program. The answer is the child, with `inner`: a promise of the process id that the sandbox sees. */
  spawn(argv, { cwd, env, user = 'user', stdin = false, wrap = 'exec "${@}"', extra = [] }) {
    const { uid, home } = USERS[user];
    const own = AS_ROOT ? ['--setuid', String(uid), '--setgid', String(uid)] : ['--user', '--preserve-credentials'];
    const all = { PATH: FIXED_PATH, HOME: home, USER: user, LOGNAME: user, ...env };
    const child = spawn(
      'nsenter',
      ['--target', String(this.#pid), '--mount', '--pid', '--ipc', '--uts', '--root', ...own, '--', '/usr/bin/env', '-i',
        `--chdir=${cwd}`, ...Object.entries(all).map(([key, value]) => `${key}=${value}`), '/bin/sh', '-c',
        `echo $$ >&3; exec 3>&-; ${wrap}`, 'sh', ...argv],
      { stdio: [stdin ? 'pipe' : 'ignore', 'pipe', 'pipe', 'pipe', ...extra] });
    this.children.add(child);
    child.on('exit', () => this.children.delete(child));
    child.inner = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.stdio[3].once('data', data => resolve(Number(data)));
      child.stdio[3].on('close', () => reject(new Error('the program did not start')));
    });
    child.inner.catch(() => {});
    // The child of the host only enters the namespaces; the program is its child.
    child.signal = name => {
      try {
        const pid = Number(fs.readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ')[0]);
        return pid > 0 && process.kill(pid, name);
      } catch {
        return false;
      }
    };
    return child;
  }

  /** Every process of the sandbox but its first one, as process ids of the host. */
  processes() {
    const own = fs.readlinkSync(`/proc/${this.#pid}/ns/pid`);
    return fs.readdirSync('/proc').filter(name => /^\d+$/.test(name) && Number(name) !== this.#pid).map(Number).filter(pid => {
      try {
        return fs.readlinkSync(`/proc/${pid}/ns/pid`) === own;
      } catch {
        return false;
      }
    });
  }

  /** Stops, continues or ends all. What only entered the namespaces stops with its program, so it is told, too. */
  signalAll(name) {
    const entered = name === 'SIGCONT' ? [...this.children].map(child => child.pid) : [];
    for (const pid of [...this.processes(), ...entered]) {
      try {
        process.kill(pid, name);
      } catch {
        // gone meanwhile
      }
    }
  }

  /** Copies the files that a snapshot keeps. */
  save(to) {
    fs.mkdirSync(to);
    for (const one of KEPT_BY_A_SNAPSHOT) {
      fs.cpSync(path.join(this.directory, one), path.join(to, one), { recursive: true, verbatimSymlinks: true });
    }
  }

  /** Ends every process and removes the files. */
  async end() {
    if (this.#init && this.#init.exitCode === null && this.#init.signalCode === null) {
      this.signalAll('SIGCONT');
      const gone = new Promise(resolve => this.#init.once('exit', resolve));
      try {
        process.kill(this.#pid, 'SIGKILL');
      } catch {
        // gone meanwhile
      }
      await gone;
    }
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

function copy(from, to) {
  fs.cpSync(from, to, { recursive: true, verbatimSymlinks: true, force: true });
  if (!AS_ROOT) return;
  for (const one of OF_USER) {
    const directory = path.join(to, one);
    for (const entry of fs.readdirSync(directory, { recursive: true })) fs.lchownSync(path.join(directory, entry), 1000, 1000);
  }
}
