// threat: disk and inode fill in /, /tmp, /dev/shm, the workspace
// attack: fills files, at most to twice the limit
// engine: node
// ends: killed
// escapes: without DiskSize
(() => {
  const fs = require('fs');
  let taken = 0;
  const part = Buffer.alloc(1 << 20, 1);
  for (const place of ['/tmp', '/home/user', '/dev/shm']) {
    const file = fs.openSync(place + '/fill', 'w');
    try { while (taken < 2 * @DISK@) taken += fs.writeSync(file, part); } catch {}
    fs.closeSync(file);
  }
  for (const place of ['/tmp', '/home/user', '/dev/shm']) fs.unlinkSync(place + '/fill');
  if (taken >= 2 * @DISK@) escaped((taken >> 20) + ' MiB');
  else contained((taken >> 20) + ' MiB');
})();
