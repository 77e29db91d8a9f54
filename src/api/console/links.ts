import { randomBytes } from "node:crypto";
import { z } from "zod";
import type { Seal } from "./seal.ts";
import type { SessionSubject } from "./sessions.ts";

/** Long enough to open a browser. */
export const LINK_SECONDS = 60;

const sealedLink = z.object({ id: z.string(), token: z.string(), until: z.number() });

/** A link that signs in with the credential that created it. */
export interface Link {
  readonly linkId: string;
  readonly subject: Extract<SessionSubject, { kind: "credential" }>;
  /** NumericDate. */
  readonly until: number;
}

export interface Links {
  create(token: string): { readonly code: string; readonly until: number };
  /** Undefined for a code that no instance has created, or that has expired. Whether it was used is in the store. */
  open(code: string): Link | undefined;
}

export function createLinks({ seal, nowMs }: { readonly seal: Seal; readonly nowMs: () => number }): Links {
  return {
    create(token) {
      const until = Math.floor(nowMs() / 1000) + LINK_SECONDS;
      const id = randomBytes(16).toString("hex");
      return { code: seal.seal("link", JSON.stringify({ id, token, until })), until };
    },
    open(code) {
      const text = seal.open("link", code);
      const link = text === undefined ? undefined : sealedLink.safeParse(JSON.parse(text)).data;
      if (link === undefined || nowMs() >= link.until * 1000) return undefined;
      const { id: linkId, token, until } = link;
      return { linkId, subject: { kind: "credential", token }, until };
    },
  };
}
