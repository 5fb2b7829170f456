// Checks requests against the published OpenAPI documents, by openapi-backend. What cannot be checked is said, with the reason.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { INTERPRETER_DOCUMENT, PROCEDURE_DOCUMENT } from './procedures.js';

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

export class Checker {
  violations = [];
  skipped = [];
  checked = 0;
  #validators = {};

  /** `modules` is where npm has installed the packages, `documents` where openapi.yml and envd.yaml are. */
  constructor(modules, documents) {
    let backend, yaml, dereference;
    try {
      const require = createRequire(path.join(path.resolve(modules), 'package.json'));
      backend = require('openapi-backend');
      yaml = require('js-yaml');
      dereference = require('dereference-json-schema').dereferenceSync;
    } catch (error) {
      this.skipped.push(`no request is checked: ${error.message.split('\n')[0]}`);
      return;
    }
    const use = (plane, document) => {
      this.#validators[plane] = validator(backend, document);
    };
    use('procedures', PROCEDURE_DOCUMENT);
    use('interpreter', INTERPRETER_DOCUMENT);
    for (const [plane, name] of [['control', 'openapi.yml'], ['files', 'envd.yaml']]) {
      const file = path.join(documents, name);
      if (!fs.existsSync(file)) {
        this.skipped.push(`requests to ${plane} are not checked: there is no ${file} (set E2B_SPEC_DIR)`);
        continue;
      }
      const document = yaml.load(fs.readFileSync(file, 'utf8'));
      if (plane === 'control') withNewerRoutes(document);
      use(plane, dereference(strict(document)));
    }
  }

  /** Notes what is wrong with a request; `content` is its body as parsed, or absent. */
  check(plane, { method, url, headers, route }, content) {
    const validate = this.#validators[plane];
    if (!validate) return;
    this.checked++;
    const { pathname, search } = new URL(url, 'http://double');
    for (const problem of validate(method, pathname, search.slice(1), headers, content)) {
      this.violations.push({ request: `${method} ${url}`, route, problem });
    }
  }
}

function validator(backend, definition) {
  let count = 0;
  for (const item of Object.values(definition.paths)) for (const method of METHODS) if (item[method]) item[method].operationId ??= `operation${count++}`;
  const router = new backend.OpenAPIRouter({ definition, apiRoot: '/' });
  const all = new backend.OpenAPIValidator({ definition, router, ajvOpts: { allErrors: true, strict: false, validateFormats: false }, lazyCompileValidators: true, coerceTypes: true });
  return (method, pathname, query, headers, body) => {
    const request = { method, path: pathname, query, headers, body };
    const operation = router.matchOperation(request);
    if (!operation) return [`the document has no ${method} ${pathname}`];
    const result = all.validateRequest(request, operation);
    return (result.errors ?? []).map(error => `${error.instancePath || '/'} ${error.message} ${JSON.stringify(error.params)}`);
  };
}

/** A body's key that the document does not know is wrong, too. */
function strict(document) {
  for (const schema of Object.values(document.components.schemas)) {
    if (schema.properties && schema.additionalProperties === undefined) schema.additionalProperties = false;
  }
  return document;
}

/**
 * The newer create and connect, which the document lacks: as the older ones, but that a create has no `secure` (all are) and may
 * have `network.httpsPorts`, and that the body of a connect is optional and may have `memory`.
 */
function withNewerRoutes({ paths, components: { schemas } }) {
  const copy = value => structuredClone(value);
  const network = copy(schemas.SandboxNetworkConfig);
  network.properties.httpsPorts = { type: 'array', items: { type: 'integer', minimum: 1, maximum: 65535 } };
  schemas.NewerSandboxNetworkConfig = network;
  const create = copy(schemas.NewSandbox);
  delete create.properties.secure;
  create.properties.network = { $ref: '#/components/schemas/NewerSandboxNetworkConfig' };
  schemas.NewerSandbox = create;
  const connect = copy(schemas.ConnectSandbox);
  delete connect.required;
  connect.properties.memory = { type: 'boolean' };
  schemas.NewerConnectSandbox = connect;
  const operation = (old, name, required) => {
    const newer = copy(old);
    newer.requestBody = { required, content: { 'application/json': { schema: { $ref: `#/components/schemas/${name}` } } } };
    return newer;
  };
  paths['/v2/sandboxes'].post ??= operation(paths['/sandboxes'].post, 'NewerSandbox', true);
  paths['/v2/sandboxes/{sandboxID}/connect'] ??= { post: operation(paths['/sandboxes/{sandboxID}/connect'].post, 'NewerConnectSandbox', false) };
}
