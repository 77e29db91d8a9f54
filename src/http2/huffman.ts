import { EOS, HUFFMAN_BITS } from "./hpack-tables.ts";

/** A code has at most this many bits. */
const MAX_BITS = 30;
/** Padding is the beginning of EOS, which is all ones, and shorter than a byte. */
const MAX_PADDING_BITS = 7;

/*
 * The state machine reads four bits at a time: by eight it would be 256 KiB, which drives other things out of a cache.
 * A state is an inner node of the code's tree, of which 257 leaves make 256. What a step gives, by state and nibble:
 * the next state in the bits from 4 on, where the next nibble only has to be added; then a symbol, and whether there
 * is one. Bits above the symbol need no mask where it is written to a byte.
 */
const NEXT = 0xff0;
const SYMBOL_SHIFT = 12;
const EMIT_SHIFT = 20;
const BROKEN = 1 << 21;

/** A text that has fewer characters than this is written here, one that may have more to memory of its own. */
const SCRATCH_BYTES = 4096;
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

const tree = growTree();
const STEPS = makeSteps();
const MAY_END = findEnds();

/** The text that these bytes encode, one character a byte; undefined if they encode none (RFC 7541, section 5.2). */
export function decodeHuffman(bytes: Uint8Array, from: number, to: number): string | undefined {
  const maxCharacters = Math.ceil(((to - from) * 8) / 5);
  // One more: a step writes before it knows whether there is a symbol.
  const out = maxCharacters < SCRATCH_BYTES ? scratch : Buffer.allocUnsafe(maxCharacters + 1);
  let length = 0;
  let state = 0;
  let seen = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] ?? 0;
    const high = STEPS[state + (byte >> 4)] ?? BROKEN;
    out[length] = high >> SYMBOL_SHIFT;
    length += (high >> EMIT_SHIFT) & 1;
    const low = STEPS[(high & NEXT) + (byte & 15)] ?? BROKEN;
    out[length] = low >> SYMBOL_SHIFT;
    length += (low >> EMIT_SHIFT) & 1;
    state = low & NEXT;
    seen |= high | low;
  }
  if ((seen & BROKEN) !== 0 || MAY_END[state >> 4] !== 1) return undefined;
  return out.toString("latin1", 0, length);
}

/** The code's tree: the two children of node n stand at 2n and 2n + 1; a leaf is the complement of its symbol. */
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

/** Where four bits lead. No code is shorter than five, so there is at most one symbol on the way. */
function step(from: number, nibble: number): number {
  let node = from;
  let emitted = 0;
  for (let shift = 3; shift >= 0; shift--) {
    const child = tree[2 * node + ((nibble >> shift) & 1)] ?? 0;
    node = Math.max(child, 0);
    if (child >= 0) continue;
    if (~child === EOS) return BROKEN;
    emitted = (~child << SYMBOL_SHIFT) | (1 << EMIT_SHIFT);
  }
  return emitted | (node << 4);
}

/** The states in which a text may end: nothing but ones since the last symbol, and few of them. */
function findEnds(): Uint8Array {
  const ends = new Uint8Array(EOS);
  let node = 0;
  for (let bits = 0; bits <= MAX_PADDING_BITS; bits++) {
    ends[node] = 1;
    node = tree[2 * node + 1] ?? 0;
  }
  return ends;
}
