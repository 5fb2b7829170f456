// What Node allows: the code of a sandbox run in this very process, without any boundary.
// Reads lines "OPERATION COUNT" and answers each with one line: COUNT times in nanoseconds, or "error TEXT".
'use strict';
const vm = require('node:vm');
const code = process.argv[2];
const expected = process.argv[3];
const kept = vm.createContext({});
const operations = {
  'new-context': () => vm.runInNewContext(code),
  'kept-context': () => vm.runInContext(code, kept),
};

function answer(line) {
  const [name, count] = line.trim().split(' ');
  const times = [];
  for (let i = 0; i < Number(count); i++) {
    const begin = process.hrtime.bigint();
    const result = operations[name]();
    times.push(process.hrtime.bigint() - begin);
    if (String(result) !== expected) {
      return `error ${name}: got ${result}`;
    }
  }
  return times.join(' ');
}

require('node:readline').createInterface({ input: process.stdin }).on('line', line => {
  process.stdout.write(answer(line) + '\n');
});
