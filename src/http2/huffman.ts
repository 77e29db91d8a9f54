import { EOS, HUFFMAN_BITS } from "./hpack-tables.ts";

/** The longest code. */
const MAX_BITS = 30;
/** Padding is the start of EOS, which consists of ones, and is shorter than a byte. */
const MAX_PADDING_BITS = 7;

/*
 * The state machine reads four bits at a time. With eight bits its table would have 256 KiB and evict other data from the CPU
 * cache. A state is one of the 256 inner nodes of the code tree, which has 257 leaves. STEPS has an entry for each state and
 * nibble: from bit 4 the next state, so that the next nibble only has to be added; from bit 12 a symbol; and in bit 20 whether
 * there is a symbol. The bits above the symbol need no mask, because a write to a byte ignores them.
 */
const NEXT = 0xff0;
const SYMBOL_SHIFT = 12;
const EMIT_SHIFT = 20;
const INVALID = 1 << 21;

/** A string with fewer characters than this is decoded into a shared buffer, and a longer one into its own. */
const SCRATCH_BYTES = 4096;
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

const tree = growTree();
const STEPS = makeSteps();
const MAY_END = findEnds();

/** Decodes a string, with one character for each byte. Undefined if the code is invalid (RFC 7541, section 5.2). */
export function decodeHuffman(bytes: Uint8Array, from: number, to: number): string | undefined {
  const maxCharacters = Math.ceil(((to - from) * 8) / 5);
  // One byte more, because a step writes before it knows whether there is a symbol.
  const out = maxCharacters < SCRATCH_BYTES ? scratch : Buffer.allocUnsafe(maxCharacters + 1);
  let length = 0;
  let state = 0;
  let steps = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] ?? 0;
    const high = STEPS[state + (byte >> 4)] ?? INVALID;
    out[length] = high >> SYMBOL_SHIFT;
    length += (high >> EMIT_SHIFT) & 1;
    const low = STEPS[(high & NEXT) + (byte & 15)] ?? INVALID;
    out[length] = low >> SYMBOL_SHIFT;
    length += (low >> EMIT_SHIFT) & 1;
    state = low & NEXT;
    steps |= high | low;
  }
  if ((steps & INVALID) !== 0 || MAY_END[state >> 4] !== 1) return undefined;
  return out.toString("latin1", 0, length);
}

/** The code tree. The children of node n are at 2n and 2n + 1. A leaf is the complement of its symbol. */
function growTree(): Int16Array {
  const children = new Int16Array(2 * EOS);
  let nodes = 1;
  let code = 0;
  for (let bits = 1; bits <= MAX_BITS; bits++) {
    code *= 2;
    for (let symbol = 0; symbol <= EOS; symbol++) {
      if (HUFFMAN_BITS[symbol] !== bits) continue;
      let node = 0;
      for (let shift = bits - 1; shift > 0; shift--) {
        const child = 2 * node + ((code >> shift) & 1);
        children[child] ||= nodes++;
        node = children[child] ?? 0;
      }
      children[2 * node + (code & 1)] = ~symbol;
      code++;
    }
  }
  return children;
}

function makeSteps(): Int32Array {
  const steps = new Int32Array(EOS * 16);
  for (let at = 0; at < steps.length; at++) steps[at] = step(at >> 4, at & 15);
  return steps;
}

/** The step for four bits. No code is shorter than five bits, so a step has at most one symbol. */
function step(from: number, nibble: number): number {
  let node = from;
  let emitted = 0;
  for (let shift = 3; shift >= 0; shift--) {
    const child = tree[2 * node + ((nibble >> shift) & 1)] ?? 0;
    node = Math.max(child, 0);
    if (child >= 0) continue;
    if (~child === EOS) return INVALID;
    emitted = (~child << SYMBOL_SHIFT) | (1 << EMIT_SHIFT);
  }
  return emitted | (node << 4);
}

/** The states in which a string may end: after at most seven bits since the last symbol, all of them ones. */
function findEnds(): Uint8Array {
  const ends = new Uint8Array(EOS);
  let node = 0;
  for (let bits = 0; bits <= MAX_PADDING_BITS; bits++) {
    ends[node] = 1;
    node = tree[2 * node + 1] ?? 0;
  }
  return ends;
}
