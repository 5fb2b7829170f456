//! Ordinary programs keep working under the system call policy, Landlock and the limits.

use std::path::Path;

use e2bridge_protocol::supervisor::{Limits, Template};

use crate::support::{Engine, LIMITS, Sandbox, skip};

const ROOMY: Limits = Limits { memory_bytes: 512 << 20, disk_bytes: 64 << 20, disk_inodes: 8000, ..LIMITS };

/// Runs code by an interpreter of the host; it must print `well`.
fn works(sandbox: &Sandbox, what: &str, argv: &[&str]) {
    let output = sandbox.run(argv);
    assert_eq!((output.stdout.trim_end(), output.exit.exit_code), ("well", Some(0)), "{what}: {output:?}");
}

#[test]
fn python_programs_work() {
    if !Path::new("/usr/bin/python3").exists() {
        return skip("there is no /usr/bin/python3");
    }
    let engine = Engine::start();
    let sandbox = engine.try_create(Template::Python, ROOMY).unwrap();
    for (what, code) in [
        (
            "threads",
            "import queue, threading\n\
             q = queue.Queue()\n\
             ts = [threading.Thread(target=lambda n=n: q.put(n)) for n in range(8)]\n\
             [t.start() for t in ts]; [t.join() for t in ts]\n\
             assert sorted(q.get() for _ in ts) == list(range(8))",
        ),
        (
            "pool of threads",
            "from concurrent.futures import ThreadPoolExecutor\n\
             with ThreadPoolExecutor(4) as pool: assert sum(pool.map(abs, range(-50, 0))) == 1275",
        ),
        (
            "asyncio",
            "import asyncio\n\
             async def echo(r, w): w.write(await r.readline()); await w.drain(); w.close()\n\
             async def main():\n\
             \u{20}   server = await asyncio.start_server(echo, '127.0.0.1', 0)\n\
             \u{20}   r, w = await asyncio.open_connection(*server.sockets[0].getsockname())\n\
             \u{20}   w.write(b'hello\\n')\n\
             \u{20}   assert await r.readline() == b'hello\\n'\n\
             \u{20}   p = await asyncio.create_subprocess_exec('/bin/echo', 'x', stdout=asyncio.subprocess.PIPE)\n\
             \u{20}   assert (await p.communicate())[0] == b'x\\n'\n\
             asyncio.run(main())",
        ),
        (
            "subprocess",
            "import subprocess\n\
             assert subprocess.run('cat | tr a-z A-Z', shell=True, input=b'abc', capture_output=True).stdout == b'ABC'\n\
             assert subprocess.run(['/bin/sleep', '0.01'], start_new_session=True).returncode == 0",
        ),
        (
            "multiprocessing",
            "import multiprocessing, os\n\
             for method in ['fork', 'spawn', 'forkserver']:\n\
             \u{20}   context = multiprocessing.get_context(method)\n\
             \u{20}   with context.Pool(2) as pool: assert pool.map(abs, [-1, -2, -3]) == [1, 2, 3]\n\
             \u{20}   q = context.Queue(); q.put(7); assert q.get() == 7",
        ),
        (
            "libraries with native code",
            "import bz2, ctypes, decimal, hashlib, json, lzma, sqlite3, ssl, tempfile, zlib\n\
             assert hashlib.sha256(b'').hexdigest().startswith('e3b0') and ssl.create_default_context()\n\
             with tempfile.NamedTemporaryFile() as file:\n\
             \u{20}   db = sqlite3.connect(file.name); db.execute('create table t (a)'); db.execute('insert into t values (1)')\n\
             \u{20}   db.commit(); assert db.execute('select a from t').fetchall() == [(1,)]\n\
             assert zlib.decompress(zlib.compress(b'x' * 999)) == b'x' * 999 and lzma.compress(b'') and bz2.compress(b'')",
        ),
        (
            "files and signals",
            "import mmap, os, select, shutil, signal, time\n\
             signal.signal(signal.SIGALRM, lambda *a: None); signal.setitimer(signal.ITIMER_REAL, 0.01); signal.pause()\n\
             os.makedirs('/tmp/a/b'); open('/tmp/a/b/c', 'wb').write(bytes(8192)); shutil.copytree('/tmp/a', '/tmp/d')\n\
             with open('/tmp/d/b/c', 'r+b') as f: mmap.mmap(f.fileno(), 0)[0] = 1\n\
             assert open('/tmp/d/b/c', 'rb').read(1) == b'\\x01'; shutil.rmtree('/tmp/a'); shutil.rmtree('/tmp/d')\n\
             r, w = os.pipe(); e = select.epoll(); e.register(r); os.write(w, b'x'); assert e.poll(1)",
        ),
        (
            "subinterpreter of its own version",
            "import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''], check=True)",
        ),
    ] {
        // With a file, so that the children of multiprocessing can import it.
        let guarded: String = code.lines().map(|line| format!("    {line}\n")).collect();
        sandbox.put_file(
            "/tmp/program.py",
            format!("if __name__ == '__main__':\n{guarded}    print('well')\n").as_bytes(),
        );
        works(&sandbox, what, &["/usr/bin/python3", "/tmp/program.py"]);
    }
}

#[test]
fn node_programs_work() {
    if !Path::new("/usr/bin/node").exists() {
        return skip("there is no /usr/bin/node");
    }
    let engine = Engine::start();
    let limits = Limits { memory_bytes: 1 << 30, ..ROOMY };
    let sandbox = engine.try_create(Template::Node, limits).unwrap();
    for (what, code) in [
        (
            "workers",
            "const { Worker } = require('worker_threads');\
             const w = new Worker('require(\"worker_threads\").parentPort.postMessage(42)', { eval: true });\
             w.once('message', m => { if (m === 42) console.log('well') });",
        ),
        (
            "child_process",
            "const c = require('child_process');\
             c.exec('echo out; exit 3', (e, o) => { if (e.code === 3 && o === 'out\\n'\
             && c.execFileSync('/bin/echo', ['x']).toString() === 'x\\n') console.log('well') });",
        ),
        (
            "fs.promises",
            "const fs = require('fs');(async () => { await fs.promises.mkdir('/tmp/n/m', { recursive: true });\
             await fs.promises.writeFile('/tmp/n/m/f', 'text'); await fs.promises.cp('/tmp/n', '/tmp/o', { recursive: true });\
             if (await fs.promises.readFile('/tmp/o/m/f', 'utf8') === 'text') console.log('well');\
             await fs.promises.rm('/tmp/n', { recursive: true }); await fs.promises.rm('/tmp/o', { recursive: true }) })()",
        ),
        (
            "http",
            "const http = require('http');const s = http.createServer((q, r) => r.end('hello')).listen(0, '127.0.0.1', async () => {\
             const r = await fetch('http://127.0.0.1:' + s.address().port);\
             if (await r.text() === 'hello') console.log('well'); s.close(); process.exit(0) })",
        ),
        (
            "crypto, zlib, timers, streams",
            "const z = require('zlib'), c = require('crypto');\
             setTimeout(() => { if (z.gunzipSync(z.gzipSync('x')).toString() === 'x' && c.randomBytes(8).length === 8\
             && c.scryptSync('a', 'b', 16).length === 16) console.log('well') }, 5)",
        ),
    ] {
        works(&sandbox, what, &["/usr/bin/node", "-e", code]);
    }
}

#[test]
fn tools_of_the_shell_work() {
    let engine = Engine::start();
    let sandbox = engine.try_create(Template::Base, ROOMY).unwrap();
    for (tool, line) in [
        (
            "tar",
            "mkdir -p a/b && echo x >a/b/c && ln -s c a/b/l && tar cf a.tar a && rm -r a && tar xf a.tar && cat a/b/l | grep -q x",
        ),
        ("gzip", "seq 9999 >s && gzip s && gunzip -c s.gz | tail -1 | grep -q 9999"),
        ("sort", "seq 2000 | sort -rn --parallel=2 | head -1 | grep -qx 2000"),
        ("find", "mkdir -p f/g && touch f/g/h && test \"$(find f -type f -newer /etc/passwd | wc -l)\" = 1"),
        ("awk", "seq 10 | awk '{ s += $1 } END { exit s != 55 }'"),
        ("sed", "echo abc >t && sed -i s/b/x/ t && grep -qx axc t"),
        (
            "git",
            "git init -q g && cd g && git config user.email a@b && git config user.name n && echo x >f && git add f && \
                 git commit -qm m && git gc -q && test \"$(git log --oneline | wc -l)\" = 1",
        ),
        ("xargs", "seq 20 | xargs -P 4 -n 1 echo | wc -l | grep -qx 20"),
        ("timeout", "timeout 0.1 sleep 5 || test $? = 124"),
        ("mkfifo", "mkfifo p && { echo x >p & } && read y <p && test $y = x"),
        ("nice", "nice -n 5 true"),
        (
            "bash",
            "bash -c 'coproc cat; echo x >&${COPROC[1]}; read -u ${COPROC[0]} y; test $y = x; kill $COPROC_PID'",
        ),
        (
            "gcc",
            "printf '#include <stdio.h>\\nint main(void) { return puts(\"x\") < 0; }\\n' >m.c && gcc m.c -o m && ./m | grep -qx x",
        ),
    ] {
        if ["/usr/bin", "/bin"].iter().any(|directory| Path::new(directory).join(tool).exists()) {
            works(&sandbox, tool, &["/bin/sh", "-c", &format!("set -e; {line}; echo well")]);
        } else {
            eprintln!("not on this host: {tool}");
        }
    }
}
