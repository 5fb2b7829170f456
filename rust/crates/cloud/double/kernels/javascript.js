// A kernel of the double: runs JavaScript and keeps its names. Lines come on descriptor 5, answers go to 4, and a mark on both
// outputs says that all of a run's output is written.
const fs = require('node:fs');
const readline = require('node:readline');
const util = require('node:util');
const vm = require('node:vm');

const context = vm.createContext({ console, require, process, Buffer, setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, URL, TextEncoder, TextDecoder, fetch });
const tell = message => fs.writeSync(4, JSON.stringify(message) + '\n');
let interrupted = () => {};
process.on('SIGINT', () => interrupted());

function script(code) {
  try {
    return new vm.Script(code, { filename: 'code' });
  } catch (error) {
    if (!/\bawait\b/.test(code)) throw error;
    return new vm.Script(`(async () => {${code}\n})()`, { filename: 'code' });
  }
}

async function run(code) {
  const stopped = new Promise((_, reject) => {
    interrupted = () => reject(Object.assign(new Error('execution interrupted'), { name: 'KeyboardInterrupt' }));
  });
  stopped.catch(() => {});
  const value = await Promise.race([script(code).runInContext(context, { breakOnSigint: true }), stopped]);
  if (value !== undefined) tell({ type: 'result', text: util.inspect(value), is_main_result: true });
}

(async () => {
  for await (const line of readline.createInterface({ input: fs.createReadStream(null, { fd: 5 }) })) {
    const { code, env, mark } = JSON.parse(line);
    const before = { ...process.env };
    Object.assign(process.env, env);
    try {
      await run(code);
    } catch (error) {
      const named = error !== null && typeof error === 'object';
      tell({ type: 'error', name: named ? String(error.name) : 'Error', value: named ? String(error.message) : String(error), traceback: named ? String(error.stack) : '' });
    }
    for (const key of Object.keys(process.env)) if (!(key in before)) delete process.env[key];
    Object.assign(process.env, before);
    await new Promise(resolve => process.stdout.write(mark, resolve));
    await new Promise(resolve => process.stderr.write(mark, resolve));
    tell({ type: 'end' });
  }
})();
