/** Tokens: a set of headers with its expiry; and the header lines that are had without a token. */
import * as abi from './abi.js';
import { allocate, bind } from './call.js';

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
export const freeToken = bind('keyferry_token_free');

/** The words for the numbers of one group: the ends of their names in C. */
function wordsByNumber(prefix) {
  const constants = Object.entries(abi).filter(([name]) => name.startsWith(prefix));
  return new Map(constants.map(([name, number]) => [number, name.slice(prefix.length).toLowerCase()]));
}

const kindNames = wordsByNumber('KEYFERRY_TOKEN_KIND_');
export const accessNames = wordsByNumber('KEYFERRY_ACCESS_');

const finalizers = new FinalizationRegistry(freeToken);

function headersOf(address) {
  const headers = {};
  for (let index = 0, count = headerCount(address); index < count; index += 1) {
    headers[headerName(address, index)] = headerValue(address, index);
  }
  return Object.freeze(headers);
}

/** Whether the caller is this module: nobody else makes tokens. */
const constructorKey = Symbol('inside');

/**
 * The token of an address that the library gave away, got for nothing but a resource, or for more than that. Not for users of the package:
 * any address is believed.
 */
export let takeToken;
/** By which resource, or else at which address, the library knows a token again. */
export let identityOf;

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
    if (key !== constructorKey) throw new TypeError('tokens come from a session: ask tokenFor');
    this.#headers = headersOf(address);
    this.#value = bareValue(address);
    this.#service = serviceOf(address);
    this.#kind = kindNames.get(kindOf(address));
    this.#access = accessNames.get(accessOf(address));
    this.#expires = expiresUnixS(address);
    this.#generation = Number(generationOf(address));
    this.#details = detailsJson(address);
    this.#resource = resource;
  }

  static {
    takeToken = (address, resource) => {
      const token = new Token(constructorKey, address, resource);
      if (resource === undefined) {
        token.#address = address;
        finalizers.register(token, address);
      } else {
        freeToken(address);
      }
      return token;
    };
    identityOf = (token) => {
      if (!(token instanceof Object && #address in token)) throw new TypeError('a token of keyferry is needed');
      return { resource: token.#resource, address: token.#address };
    };
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

/** As long as a line can be, and a multiple of eight. */
export const LINE_BYTES = 17_000;

const line = allocate(LINE_BYTES);
const previousLine = allocate(LINE_BYTES);
const lineWords = new Float64Array(line.array.buffer);
const previousWords = new Float64Array(previousLine.array.buffer);
const lineBuffer = Buffer.from(line.array.buffer);

/**
 * Where a peek writes to. What it wrote is kept until the next one: to make strings of a line costs more than to get it, and it is mostly
 * the same line as the time before, which then is the same header. Lines are compared eight bytes at a time; what stands behind their end
 * is compared too, which can only make two equal ones differ.
 */
export const lineAddress = line.address;

let previousLength = 0;
let name = '';
let value = '';
let headers = {};

function isSameLine(bytes) {
  if (bytes !== previousLength) return false;
  for (let at = 0, end = Math.ceil(bytes / 8); at < end; at += 1) if (lineWords[at] !== previousWords[at]) return false;
  return true;
}

/** Reads the line that was written. A line of HTTP is Latin-1. */
function readLine(bytes) {
  if (isSameLine(bytes)) return;
  const lineText = lineBuffer.latin1Slice(0, bytes);
  const colon = lineText.indexOf(': ');
  [name, value] = [lineText.slice(0, colon), lineText.slice(colon + 2)];
  headers = Object.freeze({ [name]: value });
  previousLine.array.set(line.array.subarray(0, Math.min(bytes + 8, LINE_BYTES)));
  previousLength = bytes;
}

/** Name and value of the line that was written. */
export function lineHeader(bytes) {
  readLine(bytes);
  return [name, value];
}

/** The same by name. */
export function lineHeaders(bytes) {
  readLine(bytes);
  return headers;
}

/** Forgets the line. */
export function wipeLine() {
  line.array.fill(0);
  previousLine.array.fill(0);
  previousLength = 0;
  name = value = '';
  headers = {};
}
