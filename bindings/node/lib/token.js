/** Tokens: a set of headers with its expiry. */
import * as abi from './abi.js';
import { bind } from './library.js';

const headerCount = bind('keyferry_token_header_count');
const headerName = bind('keyferry_token_header_name');
const headerValue = bind('keyferry_token_header_value');
const bareValue = bind('keyferry_token_value');
const serviceOf = bind('keyferry_token_service');
const kindOf = bind('keyferry_token_kind');
const accessOf = bind('keyferry_token_access');
const expiresUnixS = bind('keyferry_token_expires_unix_s');
const detailsJson = bind('keyferry_token_details_json');
export const generationOf = bind('keyferry_token_generation');
export const free = bind('keyferry_token_free');

/** The words for the numbers of one group: the ends of their names in C. */
function named(prefix) {
  const found = Object.entries(abi).filter(([name]) => name.startsWith(prefix));
  return new Map(found.map(([name, number]) => [number, name.slice(prefix.length).toLowerCase()]));
}

const kinds = named('KEYFERRY_KIND_');
export const accesses = named('KEYFERRY_ACCESS_');

const dropped = new FinalizationRegistry(free);

function headersOf(address) {
  const headers = {};
  for (let index = 0, count = headerCount(address); index < count; index += 1) {
    headers[headerName(address, index)] = headerValue(address, index);
  }
  return Object.freeze(headers);
}

/** Whether the caller is this module: nobody else makes tokens. */
const inside = Symbol('inside');

/**
 * All of a token is read at once and its memory in the library freed: a loop that takes a million tokens never lets the collector of
 * garbage run. Only what can't be asked for again by its resource alone keeps the library's object, for `reject`.
 */
export class Token {
  #headers;
  #value;
  #service;
  #kind;
  #access;
  #expires;
  #generation;
  #details;
  #resource;
  #address = 0;

  constructor(key, address, resource) {
    if (key !== inside) throw new TypeError('tokens come from a session: ask tokenFor');
    this.#headers = headersOf(address);
    this.#value = bareValue(address);
    this.#service = serviceOf(address);
    this.#kind = kinds.get(kindOf(address));
    this.#access = accesses.get(accessOf(address));
    this.#expires = expiresUnixS(address);
    this.#generation = Number(generationOf(address));
    this.#details = detailsJson(address);
    this.#resource = resource;
  }

  /** The token of an address that the library gave away, got for nothing but a resource, or for more than that. */
  static taken(address, resource) {
    const token = new Token(inside, address, resource);
    if (resource === undefined) {
      token.#address = address;
      dropped.register(token, address);
    } else {
      free(address);
    }
    return token;
  }

  /** By which resource, or else at which address, the library knows it again. */
  static known(token) {
    if (!(token instanceof Token)) throw new TypeError('a token of keyferry is needed');
    return { resource: token.#resource, address: token.#address };
  }

  get headers() {
    return this.#headers;
  }

  get value() {
    return this.#value;
  }

  get service() {
    return this.#service;
  }

  get kind() {
    return this.#kind;
  }

  get access() {
    return this.#access;
  }

  get expiresAt() {
    return this.#expires === abi.KEYFERRY_NO_EXPIRY ? null : new Date(Number(this.#expires) * 1000);
  }

  get generation() {
    return this.#generation;
  }

  get details() {
    return JSON.parse(this.#details);
  }

  [Symbol.for('nodejs.util.inspect.custom')]() {
    return `Token { ${this.#service} ${this.#kind}, access ${this.#access}, generation ${this.#generation} }`;
  }
}
