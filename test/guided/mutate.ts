/** A whole number from 0 to below `end`. */
export type Random = (end: number) => number;

/** A small generator (mulberry32): the same seed gives the same numbers. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return (end) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * end);
  };
}

export interface MutationDeps {
  readonly random: Random;
  /** Texts with a meaning for the target. */
  readonly dictionary: readonly Buffer[];
  /** Another input of the population. */
  readonly other: () => Buffer;
  readonly maxBytes: number;
}

const MAX_STEPS = 6;
/** Ends of ranges, and masks of prefixes, in many formats. */
const BYTES = [0, 1, 9, 10, 13, 32, 34, 37, 44, 58, 61, 63, 64, 127, 128, 192, 255];

type Mutation = (bytes: Buffer, deps: MutationDeps) => Buffer;

const MUTATIONS: readonly Mutation[] = [
  (bytes, { random }) => changed(bytes, random, (byte) => byte ^ (1 << random(8))),
  (bytes, { random }) => changed(bytes, random, () => random(256)),
  (bytes, { random }) => changed(bytes, random, () => BYTES[random(BYTES.length)] ?? 0),
  (bytes, { random }) => changed(bytes, random, (byte) => byte + random(17) - 8),
  (bytes, { random }) => replaced(bytes, random, 0, Buffer.of(BYTES[random(BYTES.length)] ?? 0)),
  (bytes, { random }) => replaced(bytes, random, 1 + random(1 + random(16)), NO_BYTES),
  (bytes, { random }) => replaced(bytes, random, 0, sliceOf(bytes, random)),
  (bytes, { random }) => replaced(bytes, random, random(32), sliceOf(bytes, random)),
  (bytes, { random, other }) => replaced(bytes, random, random(16), sliceOf(other(), random)),
  (bytes, { random, other }) => Buffer.concat([bytes.subarray(0, random(bytes.length + 1)), other()]),
  inserted,
  inserted,
  (bytes, deps) => replaced(bytes, deps.random, random8(deps), word(deps)),
];

const NO_BYTES = Buffer.alloc(0);

/** Applies a few random changes. The result may be equal to the input. */
export function mutate(input: Buffer, deps: MutationDeps): Buffer {
  let bytes: Buffer = Buffer.from(input);
  for (let steps = 1 + deps.random(MAX_STEPS); steps > 0; steps--)
    bytes = MUTATIONS[deps.random(MUTATIONS.length)]?.(bytes, deps) ?? bytes;
  return bytes.subarray(0, deps.maxBytes);
}

function inserted(bytes: Buffer, deps: MutationDeps): Buffer {
  return replaced(bytes, deps.random, 0, word(deps));
}

function word({ dictionary, random }: MutationDeps): Buffer {
  return dictionary[random(dictionary.length)] ?? NO_BYTES;
}

function random8({ random }: MutationDeps): number {
  return random(8);
}

function changed(bytes: Buffer, random: Random, change: (byte: number) => number): Buffer {
  const at = random(bytes.length);
  const byte = bytes[at];
  if (byte !== undefined) bytes[at] = change(byte);
  return bytes;
}

function replaced(bytes: Buffer, random: Random, removed: number, by: Buffer): Buffer {
  const at = random(bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, at), by, bytes.subarray(at + removed)]);
}

function sliceOf(bytes: Buffer, random: Random): Buffer {
  const from = random(bytes.length);
  return bytes.subarray(from, from + 1 + random(64));
}
