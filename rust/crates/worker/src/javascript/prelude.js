// Defines what is easier said in JavaScript than in Rust. Called with an object of native functions; what it needs of the
// language is taken at once, so that a script that replaces it later changes nothing here. Answers everything that is reached by the
// given names of globals, so that it can be held: a function written in Rust must not be destroyed that is part of an image.
(function (native, names) {
  'use strict';
  const { encode, decode } = native;
  const define = (name, value) =>
    Object.defineProperty(globalThis, name, { value, writable: true, enumerable: false, configurable: true });

  define('TextEncoder', class TextEncoder {
    get encoding() { return 'utf-8'; }
    encode(text = '') { return new Uint8Array(encode(`${text}`)); }
    encodeInto(text, target) {
      let read = 0;
      let written = 0;
      for (const character of `${text}`) {
        const bytes = this.encode(character);
        if (written + bytes.length > target.length) break;
        target.set(bytes, written);
        written += bytes.length;
        read += character.length;
      }
      return { read, written };
    }
  });

  define('TextDecoder', class TextDecoder {
    #fatal;
    #ignoreBOM;
    constructor(label = 'utf-8', { fatal = false, ignoreBOM = false } = {}) {
      if (!/^\s*(?:utf-?8|unicode-1-1-utf-8)\s*$/i.test(label)) throw new RangeError(`unsupported encoding: ${label}`);
      this.#fatal = !!fatal;
      this.#ignoreBOM = !!ignoreBOM;
    }
    get encoding() { return 'utf-8'; }
    get fatal() { return this.#fatal; }
    get ignoreBOM() { return this.#ignoreBOM; }
    decode(input) {
      if (input === undefined) return '';
      const view = ArrayBuffer.isView(input)
        ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
        : new Uint8Array(input);
      const text = decode(view, this.#fatal);
      return !this.#ignoreBOM && text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
    }
  });

  const refuse = (value) => {
    throw new DOMException(`${typeof value === 'symbol' ? 'a symbol' : typeof value} could not be cloned.`, 'DataCloneError');
  };
  function clone(value, known) {
    if (typeof value === 'function' || typeof value === 'symbol') refuse(value);
    if (typeof value !== 'object' || value === null) return value;
    if (known.has(value)) return known.get(value);
    const keep = (copy) => { known.set(value, copy); return copy; };
    if (value instanceof Date) return keep(new Date(value.getTime()));
    if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
    if (value instanceof Number || value instanceof String || value instanceof Boolean) return keep(Object(value.valueOf()));
    if (value instanceof ArrayBuffer) return keep(value.slice(0));
    if (ArrayBuffer.isView(value)) {
      const buffer = clone(value.buffer, known);
      const length = value instanceof DataView ? value.byteLength : value.length;
      return keep(new value.constructor(buffer, value.byteOffset, length));
    }
    if (value instanceof Map) {
      const copy = keep(new Map());
      for (const [key, member] of value) copy.set(clone(key, known), clone(member, known));
      return copy;
    }
    if (value instanceof Set) {
      const copy = keep(new Set());
      for (const member of value) copy.add(clone(member, known));
      return copy;
    }
    if (value instanceof Error) {
      const names = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
      const copy = keep(new (Object.hasOwn(names, value.name) ? names[value.name] : Error)(value.message));
      copy.stack = value.stack;
      if (Object.hasOwn(value, 'cause')) copy.cause = clone(value.cause, known);
      return copy;
    }
    if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef) refuse(value);
    const copy = keep(Array.isArray(value) ? new Array(value.length) : {});
    for (const key of Object.keys(value)) copy[key] = clone(value[key], known);
    return copy;
  }
  define('structuredClone', function structuredClone(value) { return clone(value, new Map()); });

  const held = new Set([native]);
  const hold = (value) => {
    if (typeof value === 'function' || (typeof value === 'object' && value !== null)) held.add(value);
  };
  for (const name of names) hold(globalThis[name]);
  for (const one of held) {
    for (const key of Reflect.ownKeys(one)) {
      const { value, get, set } = Object.getOwnPropertyDescriptor(one, key);
      hold(value);
      hold(get);
      hold(set);
    }
  }
  return [...held];
})
