// threat: endless loop, ignoring SIGTERM, double fork, setsid, daemon holding stdout open
// attack: an endless loop that never gives way
// engine: node
// engine: embedded
// ends: timed out
// timeout: 1
// escapes: without Deadline
for (const end = Date.now() + 2000; Date.now() < end;) {}
escaped('its time did not run out');
