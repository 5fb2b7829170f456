// threat: memory bomb, also by tmpfs, pipes and sockets
// attack: fills its heap, at most to twice the limit
// engine: node
// engine: embedded
// ends: killed
// timeout: 30
// escapes: without Memory
(() => {
  const most = 2 * @MEMORY@, held = [];
  let taken = 0;
  try {
    while (taken < most) { held.push(new Uint8Array(4 << 20).fill(held.length + 1)); taken += 4 << 20; }
  } catch { return contained('an exception after ' + (taken >> 20) + ' MiB'); }
  escaped((taken >> 20) + ' MiB');
})();
