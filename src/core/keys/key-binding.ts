import { contains, parseAddress, parseNetwork } from "./ip-network.ts";

/** Maximum number of networks that a key can be bound to. */
export const MAX_KEY_NETS = 8;

/** A key without a binding is accepted from everywhere. A refresh keeps the binding. */
export interface KeyBinding {
  /** `nets`: networks in canonical CIDR form ({@link parseNetwork}). The key is accepted only from these networks. */
  readonly nets?: readonly string[];
  /** `cnf` `x5t#S256` (RFC 8705 §3.1): the key is accepted only with this client certificate. */
  readonly certificate?: string;
}

/** The client that presents a key. Each function is called only if the key has such a binding. */
export interface Presenter {
  readonly address: () => string;
  /** `x5t#S256` of the client certificate; undefined if there is none, or if it cannot be parsed. */
  readonly certificate: () => string | undefined;
}

/** Why a valid key is denied for this client. The certificate is checked first, because it is part of the identity. */
export function bindingViolation(
  { nets, certificate }: KeyBinding,
  from: Presenter,
): "certificate_mismatch" | "address_not_allowed" | undefined {
  if (certificate !== undefined && from.certificate() !== certificate) return "certificate_mismatch";
  if (nets !== undefined && !isWithin(from.address(), nets)) return "address_not_allowed";
  return undefined;
}

/** Whether an address is in one of the networks. An invalid address or network never matches. */
function isWithin(text: string, nets: readonly string[]): boolean {
  const address = parseAddress(text);
  if (address === undefined) return false;
  return nets.some((net) => {
    const network = parseNetwork(net);
    return network !== undefined && contains(network, address);
  });
}

/** The binding of a record or of a verified key. */
export function bindingOf({ nets, certificate }: KeyBinding): KeyBinding {
  return {
    ...(nets !== undefined && { nets }),
    ...(certificate !== undefined && { certificate }),
  };
}

/** SHA-256 in base64url without padding, in canonical form: the last character carries four bits. */
export const THUMBPRINT = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;
