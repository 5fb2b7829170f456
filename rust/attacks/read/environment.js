// threat: read host files, credentials, /etc/shadow, the JVM's environment
// attack: looks for the service's environment in that of every process it can see, its own included
// engine: node
// escapes: without NotDumpable
(() => {
  const fs = require('fs');
  for (const entry of ['self', ...fs.readdirSync('/proc').filter(name => /^[0-9]+$/.test(name))]) {
    let content;
    try { content = fs.readFileSync('/proc/' + entry + '/environ', 'latin1'); } catch { continue; }
    const foreign = content.split('\0').filter(v => /^(E2B_ATTACK|E2BRIDGE_LEFT|CARGO|JAVA|SSH|SUDO)/.test(v));
    if (foreign.length) return escaped('process ' + entry + ' has ' + foreign[0].split('=')[0]);
    if (entry === '1' && content) return escaped('of init: ' + content.slice(0, 100));
  }
  contained('no variable of the service');
})();
