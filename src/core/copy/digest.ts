/** One side of a comparison. */
export interface ComparedSide {
  readonly rows: number;
  readonly digest: string;
}

/** A digest of a set of texts, whatever their order. */
export interface Digest {
  add(text: string): void;
  /** The number of texts, and the first 64 bits of the digest in hex. */
  sum(): ComparedSide;
}

const BITS = 256;

/** Adds the hashes of the texts. Unlike XOR, a sum also notices a text that occurs twice. */
export function createDigest(sha256Hex: (text: string) => string): Digest {
  let total = 0n;
  let rows = 0;
  return {
    add(text) {
      total = BigInt.asUintN(BITS, total + BigInt(`0x${sha256Hex(text)}`));
      rows++;
    },
    sum: () => ({
      rows,
      digest: total
        .toString(16)
        .padStart(BITS / 4, "0")
        .slice(0, 16),
    }),
  };
}
