// threat: host loopback, egress, the host's own address, 169.254.169.254, abstract and path unix sockets
// attack: connects to what the host listens on, by loopback and by its own address
// engine: node
// escapes: without Network
(async () => {
  const net = require('net');
  for (const host of ['127.0.0.1', '@HOST_ADDRESS@', '::1', '0.0.0.0']) {
    const connected = await new Promise(done => {
      const s = net.connect({ host, port: @HOST_PORT@ });
      s.setTimeout(2000, () => { s.destroy(); done(false); });
      s.on('connect', () => { s.destroy(); done(true); });
      s.on('error', () => done(false));
    });
    if (connected) return escaped('connected to ' + host);
  }
  contained('nobody answers');
})();
