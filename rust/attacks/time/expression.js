// threat: endless loop, ignoring SIGTERM, double fork, setsid, daemon holding stdout open
// attack: a regular expression that takes for ever, inside of the engine's own code
// engine: node
// engine: embedded
// ends: timed out
// ends: killed
// timeout: 1
// escapes: without Deadline
const began = Date.now();
for (let i = 18; Date.now() - began < 2000; i++) { try { /^(a+)+$/.test('a'.repeat(Math.min(i, 28)) + 'b'); } catch (error) { if (Date.now() - began > 2000) break; } }
escaped('its time did not run out');
