import type { KeyObject } from "node:crypto";
import { createHmac, createSecretKey, timingSafeEqual } from "node:crypto";
import { createClockCache } from "../core/cache/clock-cache.ts";
import type { ChargedKey, ChargeGrant, ChargeTicket, ChargeTickets } from "../core/charges/charge-ticket.ts";

export interface ChargeTicketOptions {
  /** Shared by all instances. The first one seals, and all of them verify. */
  readonly secrets: readonly [string, ...string[]];
  /** The store's clock in milliseconds. */
  readonly storeNowMs: () => number;
}

/** Names the form of the ticket. Another one would not be taken for it. */
const VERSION = "c1";
/** 128 bits (RFC 2104 §5: at least half of the hash). */
const MAC_BYTES = 16;
/** Longer than any text that {@link createChargeTickets} issues, whatever an identity provider has put into family and owner. */
const MAX_LENGTH = 65_536;
const MAX_KEYS = 4096;

/**
 * A ticket is `c1.KEY.GRANT.TIME.DECISION.MAC`. KEY and GRANT are JSON as base64url, and encoded once: an admitted request costs one
 * HMAC. Nothing but the MAC is secret.
 */
export function createChargeTickets({ secrets, storeNowMs }: ChargeTicketOptions): ChargeTickets {
  const keys = secrets.map(macKey);
  const first = macKey(secrets[0]);
  const holders = createClockCache<ChargedKey, string>(MAX_KEYS);
  const grants = new WeakMap<ChargeGrant, string>();
  return {
    issue(key, grant, decisionId) {
      const holder = holders.get(key) ?? encode(holderFields(key));
      holders.set(key, holder);
      const granted = grants.get(grant) ?? encode(grantFields(grant));
      grants.set(grant, granted);
      const sealed = `${VERSION}.${holder}.${granted}.${Math.floor(storeNowMs()).toString(36)}.${decisionId}`;
      return `${sealed}.${macOf(first, sealed).toString("base64url")}`;
    },
    open(text) {
      if (text.length > MAX_LENGTH) return undefined;
      const end = text.lastIndexOf(".");
      const sealed = text.slice(0, end);
      const mac = text.slice(end + 1);
      if (!keys.some((key) => isEqual(mac, macOf(key, sealed).toString("base64url")))) return undefined;
      return parse(sealed);
    },
  };
}

/** A key of its own, because the secret has another purpose too. */
function macKey(secret: string): KeyObject {
  return createSecretKey(createHmac("sha256", secret).update("latchkey charge tickets").digest());
}

function macOf(key: KeyObject, sealed: string): Buffer {
  return createHmac("sha256", key).update(sealed).digest().subarray(0, MAC_BYTES);
}

/** Compares the text, so that a ticket has one spelling. */
function isEqual(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

type HolderFields = [
  family: string,
  owner: string | null,
  role: string,
  plan: string | null,
  issuer: string | null,
];

function holderFields({ family, owner, role, plan, issuer }: ChargedKey): HolderFields {
  return [family, owner ?? null, role, plan ?? null, issuer ?? null];
}

type GrantFields = [
  mode: ChargeGrant["mode"],
  route: string,
  units: readonly string[],
  reserved: ChargeGrant["reserved"] | null,
];

function grantFields({ mode, route, units, reserved }: ChargeGrant): GrantFields {
  return [mode, route, units, reserved ?? null];
}

function encode(fields: HolderFields | GrantFields): string {
  return Buffer.from(JSON.stringify(fields)).toString("base64url");
}

/** Undefined for another version. Everything else was written by this module, because the MAC is valid. */
function parse(sealed: string): ChargeTicket | undefined {
  const [version, holder = "", granted = "", time = "", decisionId = ""] = sealed.split(".");
  if (version !== VERSION) return undefined;
  const [family, owner, role, plan, issuer]: HolderFields = decode(holder);
  const [mode, route, units, reserved]: GrantFields = decode(granted);
  return {
    key: {
      family,
      role,
      ...(owner !== null && { owner }),
      ...(plan !== null && { plan }),
      ...(issuer !== null && { issuer }),
    },
    grant: { mode, route, units, ...(reserved && { reserved }) },
    decisionId,
    issuedMs: Number.parseInt(time, 36),
  };
}

function decode(text: string) {
  return JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
}
