// What a sandbox uses, read from its processes and its directory.
import fs from 'node:fs';
import os from 'node:os';

const PAGE = 4096;
const TICKS = 100;

/** The sample that the control plane answers. */
export function measure(sandbox) {
  const { cpuPct, memory, disk } = use(sandbox);
  const now = new Date();
  return {
    timestamp: now.toISOString(), timestampUnix: Math.floor(now / 1000), cpuCount: sandbox.template.cpuCount, cpuUsedPct: cpuPct,
    memUsed: memory, memTotal: sandbox.template.memoryMB * 2 ** 20, memCache: 0,
    diskUsed: disk, diskTotal: sandbox.template.diskSizeMB * 2 ** 20,
  };
}

/** The sample that envd answers. */
export function envdMetrics(sandbox) {
  const all = measure(sandbox);
  return {
    ts: all.timestampUnix, cpu_count: all.cpuCount, cpu_used_pct: all.cpuUsedPct, mem_total: all.memTotal, mem_used: all.memUsed,
    mem_cache: 0, mem_total_mib: all.memTotal / 2 ** 20, mem_used_mib: Math.floor(all.memUsed / 2 ** 20),
    disk_used: all.diskUsed, disk_total: all.diskTotal,
  };
}

/** Processor time is that since the sample before, or since the start. */
function use(sandbox) {
  let ticks = 0;
  let pages = 0;
  for (const pid of sandbox.machine.processes()) {
    try {
      const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
      ticks += Number(fields[11]) + Number(fields[12]);
      pages += Number(fields[21]);
    } catch {
      // gone meanwhile
    }
  }
  const before = sandbox.sampled ?? { at: sandbox.startedAt.getTime(), ticks: 0 };
  sandbox.sampled = { at: Date.now(), ticks };
  const seconds = Math.max((Date.now() - before.at) / 1000, 0.01);
  const cpuPct = Math.min(Math.max((ticks - before.ticks) / TICKS / seconds * 100, 0), 100 * os.availableParallelism());
  return { cpuPct, memory: pages * PAGE, disk: bytesBelow(sandbox.machine.directory) };
}

function bytesBelow(directory) {
  let sum = 0;
  for (const one of ['home', 'data', 'opt', 'srv', 'tmp', 'var']) {
    for (const entry of fs.readdirSync(`${directory}/${one}`, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) sum += fs.statSync(`${entry.parentPath ?? entry.path}/${entry.name}`, { throwIfNoEntry: false })?.size ?? 0;
    }
  }
  return sum;
}
