/**
 * Tokens: a set of headers with an expiry.
 *
 * Also the header lines that are read without creating a token.
 */
import * as abi from './abi.js';
import { allocate, bind, wordsByNumber } from './call.js';

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

/**
 * Passed to the constructor to prove that the call comes from this module, which alone creates
 * tokens.
 */
const constructorKey = Symbol('inside');

/**
 * Creates a token from an address that the library returned, and takes ownership of the address.
 *
 * `resource` is undefined if the request had options beyond the resource. Internal: the address is
 * not checked.
 */
export let takeToken;
/** Returns the resource, or else the address, by which the library identifies a token. */
export let identityOf;

/**
 * A token.
 *
 * All its values are read at once, and then its memory in the library is freed: a loop that takes a
 * million tokens leaves the garbage collector no time to run. Only a token that can't be identified
 * by its resource keeps the library's object, which `reject` needs.
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
    if (key !== constructorKey) throw new TypeError('cannot create a Token directly; call tokenFor of a Session');
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
      if (!(token instanceof Object && #address in token)) throw new TypeError('expected a Token; pass one that keyferry returned');
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

/** Maximum length of a header line, rounded up to a multiple of 8. */
export const LINE_BYTES = 17_000;

const line = allocate(LINE_BYTES);
const previousLine = allocate(LINE_BYTES);
const lineWords = new Float64Array(line.array.buffer);
const previousWords = new Float64Array(previousLine.array.buffer);
const lineBuffer = Buffer.from(line.array.buffer);

/**
 * The buffer that `peek` writes to.
 *
 * The last line is kept, because creating strings costs more than getting a line, and most lines
 * equal the previous one. Lines are compared 8 bytes at a time. The comparison includes bytes after
 * the end of the line. So two equal lines may look different, but two different lines never look
 * equal.
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

/** Reads the line in the buffer. HTTP header lines are Latin-1. */
function readLine(bytes) {
  if (isSameLine(bytes)) return;
  const lineText = lineBuffer.latin1Slice(0, bytes);
  const colon = lineText.indexOf(': ');
  [name, value] = [lineText.slice(0, colon), lineText.slice(colon + 2)];
  headers = Object.freeze({ [name]: value });
  previousLine.array.set(line.array.subarray(0, Math.min(bytes + 8, LINE_BYTES)));
  previousLength = bytes;
}

/** Returns name and value of the line in the buffer. */
export function lineHeader(bytes) {
  readLine(bytes);
  return [name, value];
}

/** Returns the line in the buffer as an object with the header's name as key. */
export function lineHeaders(bytes) {
  readLine(bytes);
  return headers;
}

/** Wipes the line and the strings made from it. */
export function wipeLine() {
  line.array.fill(0);
  previousLine.array.fill(0);
  previousLength = 0;
  name = value = '';
  headers = {};
}
