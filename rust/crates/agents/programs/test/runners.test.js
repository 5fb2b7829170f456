// Custom agents: one contract, a function agent(input), in the embedded engine's e2bridgeCustomAgent, in Node (runner.node.js) and in
// CPython (runner.py). Run: node --test rust/crates/agents/programs/test/*.test.js
'use strict';

const { test, after } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const vm = require('node:vm');
const { spawnSync } = require('node:child_process');

const AGENTS = path.join(__dirname, '..');
const PROGRAM = new vm.Script(fs.readFileSync(path.join(AGENTS, 'agents.js'), 'utf8'), { filename: 'agents.js' });
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'agents-'));
after(() => fs.rmSync(directory, { recursive: true }));

const INPUT = {
  agent_type: 'mine', symbols: ['A'], params: { depth: 3 },
  prices: { A: [{ date: '2020-01-01', close: 10 }, { date: '2020-01-02', close: 12 }] },
};
let count = 0;

/** Runs a program on an agent file; `how` gives its command line from the file's path. */
function runFile(extension, source, how, input = INPUT) {
  count += 1;
  const file = path.join(directory, `agent${count}.${extension}`);
  const inputPath = path.join(directory, `input${count}.json`);
  const outputPath = path.join(directory, `output${count}.json`);
  fs.writeFileSync(file, source);
  fs.writeFileSync(inputPath, JSON.stringify(input));
  const [program, ...args] = how(file);
  const done = spawnSync(program, args, {
    encoding: 'utf8', cwd: os.tmpdir(), timeout: 20000, maxBuffer: 1 << 24,
    env: { PATH: process.env.PATH, E2B_AGENT_INPUT: inputPath, E2B_AGENT_OUTPUT: outputPath },
  });
  assert.equal(done.error, undefined);
  const answer = JSON.parse(fs.readFileSync(outputPath, 'utf8'));
  assert.equal(done.status, answer.ok ? 0 : 1, done.stderr);
  return { answer, stdout: done.stdout, stderr: done.stderr, file };
}

const node = (source, input) => runFile('js', source, (file) => [process.execPath, path.join(AGENTS, 'runner.node.js'), file], input);
const python = (source, input) => runFile('py', source, (file) => ['python3', '-B', path.join(AGENTS, 'runner.py'), file], input);

/** In the embedded engine's way: a realm with the language and console.log alone. */
function embedded(source, input = INPUT) {
  let stdout = '';
  const realm = vm.createContext({ console: { log: (line) => { stdout += `${line}\n`; } } });
  PROGRAM.runInContext(realm);
  return { answer: JSON.parse(realm.e2bridgeCustomAgent(source, JSON.stringify(input))), stdout, realm };
}

const JAVASCRIPT = { embedded, node };

for (const [engine, run] of Object.entries(JAVASCRIPT)) {
  test(`${engine}: the input arrives, the result returns, what is printed is apart`, () => {
    const { answer, stdout } = run(`
      function agent(input) {
        console.log('trading ' + input.symbols[0]);
        return { input, last: input.prices.A[1].close * 2 };
      }`);
    assert.deepEqual(answer, { ok: true, result: { input: INPUT, last: 24 } });
    assert.equal(stdout, 'trading A\n');
  });

  test(`${engine}: every way to define agent, strict or not`, () => {
    for (const source of [
      'function agent(input) { return { n: input.params.depth }; }',
      "'use strict';\nconst agent = (input) => ({ n: input.params.depth });",
      'let agent = function (input) { return { n: input.params.depth }; }; // the end',
      'globalThis.agent = (input) => ({ n: input.params.depth });',
      '#!/usr/bin/env node\nfunction agent(input) { return { n: input.params.depth }; }',
      '\uFEFFvar agent = (input) => ({ n: input.params.depth })',
    ]) {
      assert.deepEqual(run(source).answer, { ok: true, result: { n: 3 } }, source);
    }
  });

  test(`${engine}: failures are answers with name, value and traceback`, () => {
    const cases = [
      ['function agent() {\n  throw new RangeError("too deep");\n}', 'RangeError', /^too deep$/],
      ['throw new TypeError("at load")', 'TypeError', /^at load$/],
      ['function agent() { throw "a text"; }', 'Error', /^a text$/],
      ['function agent( {', 'SyntaxError', /./],
      ['const other = 1;', 'TypeError', /must define a function agent\(input\)/],
      ['const agent = 5;', 'TypeError', /must define a function agent\(input\)/],
      ['function agent() {}', 'TypeError', /must return an object, got (nothing|undefined)/],
      ['function agent() { return null; }', 'TypeError', /must return an object, got null/],
      ['function agent() { return [1]; }', 'TypeError', /must return an object, got an array/],
      ['function agent() { return { deep: [{ x: 0 / 0 }] }; }', 'TypeError', /agent returned NaN in "x"/],
      ['function agent() { return { toJSON() { return 1; } }; }', 'TypeError', /object that JSON can represent/],
      ['function agent() { const a = {}; a.a = a; return a; }', 'TypeError', /circular/i],
      ['function agent() { return { big: 10n }; }', 'TypeError', /BigInt/],
    ];
    for (const [source, name, value] of cases) {
      const { answer } = run(source);
      assert.equal(answer.ok, false, source);
      assert.deepEqual(Object.keys(answer.error), ['name', 'value', 'traceback']);
      assert.equal(answer.error.name, name, source);
      assert.match(answer.error.value, value, source);
      assert.ok(answer.error.traceback.includes(answer.error.value), answer.error.traceback);
    }
  });

  test(`${engine}: text that UTF-8 cannot hold is replaced, other text is kept`, () => {
    const { answer } = run('function agent() { return { a: "\\ud800!", b: "\\u{1f600}\\u00e9", c: "\\\\ud800", ["\\udfff"]: 1 }; }');
    assert.deepEqual(answer.result, { a: '\ufffd!', b: '\u{1f600}\u00e9', c: '\\ud800', '\ufffd': 1 });
    assert.equal(run('function agent() { throw new Error("\\udc00"); }').answer.error.value, '\ufffd');
  });
}

test('embedded: a file without an agent does not run the one before it', () => {
  const { realm } = embedded('function agent() { return { n: 1 }; }');
  assert.deepEqual(JSON.parse(realm.e2bridgeCustomAgent('function agent() { return { n: 2 }; }', '{}')), { ok: true, result: { n: 2 } });
  assert.match(JSON.parse(realm.e2bridgeCustomAgent('1', '{}')).error.value, /must define a function/);
});

test('embedded: a promise is refused', () => {
  const { answer } = embedded('async function agent() { return {}; }');
  assert.equal(answer.error.name, 'TypeError');
  assert.match(answer.error.value, /promise/);
});

test('node: modules, exports, promises, and its own file in the traceback', () => {
  const modular = node(`
    const path = require('node:path');
    exports.agent = async (input) => {
      await new Promise((done) => setTimeout(done, 5));
      setInterval(() => {}, 1000);
      return { here: path.basename(__filename), dir: __dirname === path.dirname(__filename) };
    };`);
  assert.deepEqual(modular.answer.result, { here: path.basename(modular.file), dir: true });
  const thrown = node('function agent() {\n  throw new Error("here");\n}');
  assert.ok(thrown.answer.error.traceback.includes(`${thrown.file}:2:`), thrown.answer.error.traceback);
  for (const [source, name, value] of [
    ['async function agent() { throw new Error("later"); }', 'Error', /later/],
    ['function agent() { setTimeout(() => { throw new RangeError("stray"); }); return new Promise(() => {}); }', 'RangeError', /stray/],
    ['function agent() { return new Promise(() => {}); }', 'ExitStatus', /ended before it answered/],
    ['function agent() { process.exit(0); }', 'ExitStatus', /ended before it answered/],
  ]) {
    const { answer } = node(source);
    assert.equal(answer.ok, false);
    assert.equal(answer.error.name, name);
    assert.match(answer.error.value, value);
  }
});

test('node: the runner works as a script text too', () => {
  const runner = fs.readFileSync(path.join(AGENTS, 'runner.node.js'), 'utf8');
  const { answer } = runFile('js', 'const agent = () => ({ fine: true })', (file) => [process.execPath, '-e', runner, file]);
  assert.deepEqual(answer, { ok: true, result: { fine: true } });
});

test('node: a large output is written whole', () => {
  const { stdout, answer } = node('function agent() { console.log("x".repeat(3000000)); return { long: "y".repeat(3000000) }; }');
  assert.equal(stdout.length, 3000001);
  assert.equal(answer.result.long.length, 3000000);
});

test('python: the input arrives, the result returns, what is printed is apart', () => {
  const { answer, stdout } = python(`
def agent(input):
    print('trading', input['symbols'][0])
    return {'input': input, 'last': input['prices']['A'][1]['close'] * 2, 'text': 'é😀'}
`);
  assert.deepEqual(answer, { ok: true, result: { input: INPUT, last: 24, text: 'é😀' } });
  assert.equal(stdout, 'trading A\n');
});

test('python: coroutines, modules beside the file, dataclasses, arrays', () => {
  fs.writeFileSync(path.join(directory, 'helper_of_agent.py'), 'FACTOR = 7\n');
  const { answer } = python(`
from dataclasses import dataclass
import asyncio
import helper_of_agent

@dataclass
class Row:
    close: float

class Array:
    def tolist(self):
        return [1, 2.5]

async def agent(input):
    await asyncio.sleep(0)
    return {'n': Row(3).close * helper_of_agent.FACTOR, 'a': Array()}
`);
  assert.deepEqual(answer, { ok: true, result: { n: 21, a: [1, 2.5] } });
});

test('python: failures are answers with name, value and traceback', () => {
  const cases = [
    ['def agent(input):\n    return {"x": 1 / 0}\n', 'ZeroDivisionError', /division by zero/, /agent\d+\.py", line 2, in agent\n/],
    ['raise KeyError("at load")', 'KeyError', /at load/, /line 1/],
    ['def agent(input:\n', 'SyntaxError', /./, /line 1/],
    ['other = 1', 'TypeError', /must define a function agent\(input\)/, /./],
    ['def agent(input): pass', 'TypeError', /must return a dict, got NoneType/, /./],
    ['def agent(input): return [1]', 'TypeError', /must return a dict, got list/, /./],
    ['def agent(input): return {"x": float("nan")}', 'ValueError', /JSON/, /./],
    ['def agent(input): return {"x": object()}', 'TypeError', /returned a object, which JSON cannot represent/, /./],
    ['import sys\ndef agent(input): sys.exit(3)', 'ExitStatus', /exited with status 3/, /./],
    ['async def agent(input):\n    raise ValueError("later")\n', 'ValueError', /later/, /line 2, in agent/],
  ];
  for (const [source, name, value, traceback] of cases) {
    const { answer } = python(source);
    assert.equal(answer.ok, false, source);
    assert.deepEqual(Object.keys(answer.error), ['name', 'value', 'traceback']);
    assert.equal(answer.error.name, name, source);
    assert.match(answer.error.value, value, source);
    assert.match(answer.error.traceback, traceback, source);
  }
  const { answer } = python('def agent(input):\n    return {"x": 1 / 0}\n');
  assert.ok(!answer.error.traceback.includes('runner.py'), answer.error.traceback);
});

test('python: text that UTF-8 cannot hold is replaced', () => {
  assert.deepEqual(python('def agent(input): return {"a": "\\udc80!"}').answer.result, { a: '?!' });
});

test('python: the runner works as a program text and in isolated mode too', () => {
  const runner = fs.readFileSync(path.join(AGENTS, 'runner.py'), 'utf8');
  for (const flags of [['-c', runner], ['-I', path.join(AGENTS, 'runner.py')]]) {
    const { answer } = runFile('py', 'def agent(input): return {"fine": True}', (file) => ['python3', '-B', ...flags, file]);
    assert.deepEqual(answer, { ok: true, result: { fine: true } });
  }
});
