// threat: userns, mount, unshare, setns, clone3 with namespaces, fsopen, open_tree, pivot_root
// attack: makes namespaces by the programs of the system, from Node
// engine: node
// escapes: without Call:unshare FurtherNamespaces
(() => {
  const { spawnSync } = require('child_process');
  for (const flags of [['-U'], ['-Ur'], ['-Urm'], ['-Urn'], ['-m'], ['-n']]) {
    if (spawnSync('unshare', [...flags, 'true']).status === 0) return escaped('unshare ' + flags.join(' '));
  }
  contained('none can be made');
})();
