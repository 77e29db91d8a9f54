import { expect, test } from "vitest";
import { createCa } from "../../test/support/certificates.ts";
import { toAuthRequest } from "./auth-request.ts";
import { createReceivedHeaders } from "./request-headers.ts";

/** The thumbprint of a certificate as Envoy sends it. */
function thumbprint(certificate: string): string | undefined {
  const http = { method: "GET", path: "/", host: "x", scheme: "https", headers: createReceivedHeaders() };
  const parsed = toAuthRequest({ http, certificate, peerAddress: "", extensions: undefined }, "reject");
  return parsed.ok ? parsed.request.certificate() : "malformed";
}

test("the thumbprint is the SHA-256 of the DER, for any form of the PEM", async () => {
  const ca = await createCa();
  expect(thumbprint(encodeURIComponent(ca.cert))).toBe(ca.thumbprint);
  expect(thumbprint(encodeURIComponent(ca.cert.replaceAll("\n", "\r\n")))).toBe(ca.thumbprint);
});

test.each(["", "%zz", "garbage", "-----BEGIN CERTIFICATE-----%0AAAAA%0A-----END CERTIFICATE-----%0A", "%00"])(
  "%j is not a certificate",
  (text) => expect(thumbprint(text)).toBeUndefined(),
);
