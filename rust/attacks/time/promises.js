// threat: endless loop, ignoring SIGTERM, double fork, setsid, daemon holding stdout open
// attack: an endless chain of promises
// engine: node
// engine: embedded
// ends: timed out
// ends: killed
// timeout: 1
// escapes: without Deadline
const until = Date.now() + 2000;
const again = () => { if (Date.now() < until) Promise.resolve().then(again); else escaped('its time did not run out'); };
again();
