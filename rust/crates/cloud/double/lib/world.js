// What the control plane keeps: sandboxes, templates, snapshots. Sandboxes end at their deadline.
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Failure } from './http.js';
import { Machine } from './machine.js';

export const ENVD_VERSION = '0.6.13';
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';
const LONGEST_TIMEOUT = 24 * 3600;

const identifier = (length = 20) =>
  Array.from(crypto.randomBytes(length), byte => ALPHABET[byte % ALPHABET.length]).join('');

const builtIn = (templateID, alias, cpuCount, memoryMB) =>
  ({ templateID, alias, cpuCount, memoryMB, diskSizeMB: 1024, createdAt: new Date().toISOString(), spawnCount: 0, files: null });

export class Sandbox {
  constructor(world, template, request) {
    this.world = world;
    this.template = template;
    this.id = 'i' + identifier();
    this.token = crypto.randomBytes(16).toString('hex');
    this.metadata = request.metadata ?? {};
    this.envs = request.envVars ?? {};
    this.autoPause = request.autoPause === true;
    this.autoResume = request.autoResume?.enabled === true;
    this.allowInternetAccess = request.allow_internet_access ?? null;
    this.network = request.network;
    this.state = 'running';
    this.startedAt = new Date();
    this.processes = new Map();
    this.retained = new Map();
    this.watchers = new Map();
    this.fileMetadata = new Map();
    this.machine = new Machine(path.join(world.directory, this.id));
  }

  /** Sets the end of life, counted from now; with `extend` a later one stays as it is. */
  lease(seconds, extend = false) {
    const end = new Date(Date.now() + seconds * 1000);
    if (extend && this.endAt && this.endAt > end) return;
    this.endAt = end;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#expire(), seconds * 1000);
  }

  #expire() {
    if (this.autoPause) this.pause();
    else this.world.kill(this.id);
  }

  pause() {
    clearTimeout(this.timer);
    this.state = 'paused';
    this.machine.signalAll('SIGSTOP');
  }

  resume() {
    this.state = 'running';
    this.machine.signalAll('SIGCONT');
  }

  /** What the services of the data plane have open ends when the sandbox does. */
  onEnd(action) {
    this.ends ??= new Set();
    this.ends.add(action);
    return () => this.ends.delete(action);
  }

  async end() {
    clearTimeout(this.timer);
    for (const action of this.ends ?? []) action();
    await this.machine.end();
  }

  created() {
    return {
      templateID: this.template.templateID, alias: this.template.alias, sandboxID: this.id, clientID: 'double',
      envdVersion: ENVD_VERSION, envdAccessToken: this.token, trafficAccessToken: null, domain: null,
    };
  }

  listed() {
    const { templateID, alias, cpuCount, memoryMB, diskSizeMB } = this.template;
    return {
      templateID, alias, sandboxID: this.id, clientID: 'double', startedAt: this.startedAt.toISOString(),
      endAt: this.endAt.toISOString(), cpuCount, memoryMB, diskSizeMB, metadata: this.metadata, state: this.state,
      envdVersion: ENVD_VERSION, volumeMounts: [],
    };
  }

  detail() {
    return {
      ...this.listed(), envdAccessToken: this.token, allowInternetAccess: this.allowInternetAccess, domain: null,
      network: this.network, lifecycle: { autoResume: this.autoResume, onTimeout: this.autoPause ? 'pause' : 'kill' },
    };
  }
}

export class World {
  sandboxes = new Map();
  templates = new Map();
  creates = 0;

  constructor() {
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'e2b-double-'));
    fs.chmodSync(this.directory, 0o755);
    for (const one of [
      builtIn('rki5dems9wqfm4r03t7g', 'base', 2, 512),
      builtIn('nlhz8vlwyupq845jsdg9', 'code-interpreter-v1', 2, 1024),
    ]) this.templates.set(one.templateID, one);
  }

  template(reference) {
    const name = reference.toLowerCase().replace(/:default$/, '').split('/').pop();
    for (const one of this.templates.values()) if (one.templateID === name || one.alias === name) return one;
    throw new Failure(404, `template '${reference}' not found`);
  }

  sandbox(id) {
    const one = this.sandboxes.get(id);
    if (!one) throw new Failure(404, `sandbox "${id}" doesn't exist or you don't have access to it`);
    return one;
  }

  async create(request, seconds) {
    checkTimeout(seconds);
    const template = this.template(request.templateID);
    const one = new Sandbox(this, template, request);
    this.creates++;
    template.spawnCount++;
    await one.machine.start(template.files);
    one.lease(seconds);
    this.sandboxes.set(one.id, one);
    return one;
  }

  async kill(id) {
    const one = this.sandbox(id);
    this.sandboxes.delete(id);
    await one.end();
  }

  snapshot(sandbox, name) {
    const alias = name?.toLowerCase();
    let template = alias && [...this.templates.values()].find(one => one.alias === alias);
    if (template && template.files === null) throw new Failure(403, `template '${name}' belongs to another team`);
    if (!template) {
      template = { ...sandbox.template, templateID: identifier(), alias, createdAt: new Date().toISOString(), spawnCount: 0 };
      this.templates.set(template.templateID, template);
    }
    template.files = path.join(this.directory, 'snapshot-' + identifier());
    template.of = sandbox.id;
    sandbox.machine.save(template.files);
    return template;
  }

  async fork(sandbox, seconds) {
    const files = path.join(this.directory, 'fork-' + identifier());
    sandbox.machine.save(files);
    const template = { ...sandbox.template, files };
    const fork = new Sandbox(this, template, { metadata: sandbox.metadata, envVars: sandbox.envs });
    this.creates++;
    await fork.machine.start(files);
    fork.lease(seconds);
    this.sandboxes.set(fork.id, fork);
    return fork;
  }

  async end() {
    await Promise.allSettled([...this.sandboxes.values()].map(one => one.end()));
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

export function checkTimeout(seconds) {
  if (!Number.isInteger(seconds) || seconds <= 0) throw new Failure(400, 'Timeout must be greater than 0');
  if (seconds > LONGEST_TIMEOUT) throw new Failure(400, `Timeout cannot be greater than ${LONGEST_TIMEOUT / 3600} hours`);
}
