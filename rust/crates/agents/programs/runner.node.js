// Runs a custom agent in Node: the file named by the last argument defines a function agent(input), as a function, a constant or
// a property of module.exports or globalThis. The input is the JSON document in the file named by E2B_AGENT_INPUT; the answer,
// {ok: true, result} or {ok: false, error: {name, value, traceback}}, is written to the file named by E2B_AGENT_OUTPUT. Exits with 0
// when the agent answered, else with 1. What the agent prints is its own. The result may be a promise.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');
const { createRequire } = require('node:module');

const file = path.resolve(process.argv[process.argv.length - 1]);
const { E2B_AGENT_INPUT: inputPath, E2B_AGENT_OUTPUT: outputPath } = process.env;
let answered = false;
process.exitCode = 1;

function answer(text, code) {
  if (answered) return;
  answered = true;
  fs.writeFileSync(outputPath, wellFormed(text));
  process.exitCode = code;
  // The agent may have left timers, and a stream that is not a pipe may not have taken all that was printed.
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
}

/** JSON text without the escapes that stringify makes of lone surrogates: no UTF-8 text can hold what they stand for. */
function wellFormed(json) {
  return json.replace(/\\(?:\\|ud[89a-f][0-9a-f]{2})/g, (escape) => (escape === '\\\\' ? escape : '\\ufffd'));
}

function fail(thrown) {
  const isError = thrown instanceof Error;
  const name = isError ? String(thrown.name) : 'Error';
  const value = isError ? String(thrown.message) : String(thrown);
  const traceback = isError && typeof thrown.stack === 'string' ? thrown.stack : `${name}: ${value}`;
  answer(JSON.stringify({ ok: false, error: { name, value, traceback } }), 1);
}

/** The function agent of the file, which is a CommonJS module. */
function load() {
  const source = fs.readFileSync(file, 'utf8').replace(/^\uFEFF?(?:#!.*)?/, '');
  const module = { exports: {}, filename: file, id: file };
  const compiled = vm.compileFunction(
    `${source}\n;return typeof agent === 'function' ? agent : module.exports?.agent;`,
    ['exports', 'require', 'module', '__filename', '__dirname'],
    { filename: file },
  );
  const agent = compiled.call(module.exports, module.exports, createRequire(file), module, file, path.dirname(file));
  if (typeof agent !== 'function') throw new TypeError('the agent file must define a function agent(input)');
  return agent;
}

/** JSON text of what the agent returned; what JSON cannot say is refused instead of becoming null. */
function resultText(result) {
  if (typeof result !== 'object' || result === null || Array.isArray(result)) {
    const kind = result === null ? 'null' : Array.isArray(result) ? 'an array' : typeof result;
    throw new TypeError(`agent must return an object, got ${kind}`);
  }
  const text = JSON.stringify(result, (key, value) => {
    if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`agent returned ${value} in ${JSON.stringify(key)}`);
    return value;
  });
  if (text === undefined || text[0] !== '{') throw new TypeError('agent must return an object that JSON can represent');
  return text;
}

process.on('uncaughtException', fail);
// Nothing is left to run, or the agent called process.exit.
process.on('exit', () => {
  if (answered) return;
  const error = { name: 'ExitStatus', value: 'the agent ended before it answered', traceback: '' };
  fs.writeFileSync(outputPath, JSON.stringify({ ok: false, error }));
  process.exitCode = 1;
});

(async () => {
  const input = JSON.parse(fs.readFileSync(inputPath, 'utf8'));
  answer(`{"ok":true,"result":${resultText(await load()(input))}}`, 0);
})().catch(fail);
