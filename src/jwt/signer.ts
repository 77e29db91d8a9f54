import { SignJWT } from "jose";
import { claimsOf } from "../core/keys/key-record.ts";
import type { KeySigner } from "../core/keys/ports.ts";
import type { KeyRing } from "./key-ring.ts";

export interface TokenNames {
  readonly issuer: string;
  readonly audience: string;
}

/** Signs the claims of a record with the ring's first key. */
export function createSigner(ring: () => KeyRing, names: TokenNames): KeySigner {
  return {
    sign(record) {
      const { alg, kid, key } = ring().signing;
      return new SignJWT({ ...claimsOf(record, names.issuer, names.audience) })
        .setProtectedHeader({ typ: "JWT", alg, kid })
        .sign(key);
    },
  };
}
