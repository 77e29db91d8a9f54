import type { KeyRecord } from "./key-record.ts";
import type { KeySigner } from "./ports.ts";

/** A key that is returned to the caller. It is not stored. */
export interface Issued {
  readonly kind: "issued";
  readonly record: KeyRecord;
  readonly token: string;
  /** Whether an earlier call issued the same key. */
  readonly replayed: boolean;
}

export interface SigningDeps {
  readonly signer: KeySigner;
}

export async function issueKey(
  { signer }: SigningDeps,
  record: KeyRecord,
  { replayed }: { readonly replayed: boolean },
): Promise<Issued> {
  return { kind: "issued", record, token: await signer.sign(record), replayed };
}
