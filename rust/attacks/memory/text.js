// threat: memory bomb, also by tmpfs, pipes and sockets
// attack: doubles a text and an array again and again
// engine: embedded
// engine: node
// ends: killed
// timeout: 30
// escapes: without Memory
(() => {
  const most = 2 * @MEMORY@, held = [];
  let taken = 0;
  try {
    while (taken < most) {
      const text = 'x'.repeat(1 << 20) + held.length;
      held.push(text.split('').map(letter => letter + held.length));
      taken += 1 << 24;
    }
  } catch { return contained('an exception after ' + (taken >> 20) + ' MiB'); }
  escaped((taken >> 20) + ' MiB');
})();
