import { z } from "zod";
import { canonicalNetwork, parseNetwork } from "../../core/keys/ip-network.ts";
import { MAX_KEY_NETS, THUMBPRINT } from "../../core/keys/key-binding.ts";

const network = z.string().superRefine((text, context) => {
  if (text.length <= 64 && parseNetwork(text) !== undefined) return;
  const canonical = text.length <= 64 ? canonicalNetwork(text) : undefined;
  context.addIssue(
    canonical === undefined
      ? "must be a network such as 192.0.2.0/24 or 2001:db8::/32"
      : `has another spelling: ${canonical}`,
  );
});

export const networks = z
  .array(network)
  .min(1)
  .max(MAX_KEY_NETS)
  .meta({ description: "Networks (CIDR) from which the key is taken; anywhere by default." });

export const confirmation = z
  .strictObject({
    "x5t#S256": z.string().regex(THUMBPRINT, "must be a SHA-256 in base64url, without padding"),
  })
  .meta({
    description: "The client certificate that the key is taken with (RFC 8705 §3.1): SHA-256 of its DER.",
  });
