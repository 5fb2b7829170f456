// threat: fork bomb, threads, zombies
// attack: starts programs until it cannot any more, at most to twice the limit
// engine: node
// escapes: without Processes
(async () => {
  const { spawn } = require('child_process');
  const made = [];
  let failed = 0;
  while (made.length < 2 * @PROCESSES@ && !failed) {
    await new Promise(done => {
      try {
        const child = spawn('/bin/sleep', ['30'], { stdio: 'ignore' });
        child.on('error', () => { failed++; done(); });
        child.on('spawn', () => { made.push(child); done(); });
      } catch { failed++; done(); }
    });
  }
  made.forEach(child => child.kill('SIGKILL'));
  if (made.length > @PROCESSES@) escaped(made.length + ' processes, allowed are @PROCESSES@');
  else contained(made.length + ' processes');
})();
