// threat: gigabytes of output
// attack: writes without end, here 48 MiB
// engine: node
// engine: embedded
// ends: truncated
// ends: killed
// escapes: unconfined
for (let i = 0; i < 3072; i++) console.log('x'.repeat(16383));
