// The reference module: the same function names with answers made of constants; nothing is run.
// Usage: node reference.js MODULE.node
// Reads lines "OPERATION COUNT" and answers each with one line: COUNT times in nanoseconds, or "error TEXT".
'use strict';
const reference = require(process.argv[2]);

async function cycle() {
  const { sandbox_id: id } = parsed(await reference.createE2BSandbox('bench', 'base', 3600, 512, 1));
  await reference.executeE2BProcess(id, 'node', ['-e', '1'], 60, true);
  return reference.terminateE2BSandbox(id, false);
}

function parsed(answer) {
  return typeof answer === 'string' ? JSON.parse(answer) : answer;
}

const operations = {
  create: () => reference.createE2BSandbox('bench', 'base', 3600, 512, 1),
  status: () => reference.getE2BSandboxStatus('bench'),
  execute: () => reference.executeE2BProcess('bench', 'true', [], 60, true),
  terminate: () => reference.terminateE2BSandbox('bench', false),
  cycle,
};

async function answer(line) {
  const [name, count] = line.trim().split(' ');
  const times = [];
  for (let i = 0; i < Number(count); i++) {
    const begin = process.hrtime.bigint();
    parsed(await operations[name]());
    times.push(process.hrtime.bigint() - begin);
  }
  return times.join(' ');
}

(async () => {
  for await (const line of require('node:readline').createInterface({ input: process.stdin })) {
    process.stdout.write((await answer(line).catch(failure => `error ${failure.message}`)) + '\n');
  }
})();
