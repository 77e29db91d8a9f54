import { contains, parseAddress, parseNetwork } from "./ip-network.ts";

/** Networks that one key may be bound to. */
export const MAX_KEY_NETS = 8;

/** What a key is bound to beside its role; a key that is bound to nothing may come from anywhere. Refreshes keep it. */
export interface KeyBinding {
  /** `nets`: networks in CIDR, in their one spelling ({@link parseNetwork}); the key is taken from there alone. */
  readonly nets?: readonly string[];
  /** `cnf` `x5t#S256` (RFC 8705 §3.1): the key is taken with this client certificate alone. */
  readonly certificate?: string;
}

/** Where a key comes from. Asked for only where a key is bound to it. */
export interface Presenter {
  readonly address: () => string;
  /** `x5t#S256` of the certificate that the client showed; undefined: none, or none that can be read. */
  readonly certificate: () => string | undefined;
}

/** Why a good key is not taken from here. Who it is comes first: a certificate is part of that. */
export function bindingViolation(
  { nets, certificate }: KeyBinding,
  from: Presenter,
): "certificate_mismatch" | "address_not_allowed" | undefined {
  if (certificate !== undefined && from.certificate() !== certificate) return "certificate_mismatch";
  if (nets !== undefined && !isWithin(from.address(), nets)) return "address_not_allowed";
  return undefined;
}

/** Whether an address lies in one of the networks. What is no address, or no network, lies in none. */
function isWithin(text: string, nets: readonly string[]): boolean {
  const address = parseAddress(text);
  if (address === undefined) return false;
  return nets.some((net) => {
    const network = parseNetwork(net);
    return network !== undefined && contains(network, address);
  });
}

/** The binding of a part that has one: a key's record, a verified key. */
export function bindingOf({ nets, certificate }: KeyBinding): KeyBinding {
  return {
    ...(nets !== undefined && { nets }),
    ...(certificate !== undefined && { certificate }),
  };
}

/** SHA-256 in base64url without padding, in its one spelling: the last character holds four bits. */
export const THUMBPRINT = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;
