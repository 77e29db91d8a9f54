import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { connect } from "node:tls";
import { expect } from "vitest";
import type { Document } from "yaml";
import type { TestedCa, TestedCertificate } from "../support/certificates.ts";
import { createCa, replaceCertificate } from "../support/certificates.ts";
import { freeAddress, newSocket } from "../support/latchkey.ts";
import { HEALED_WITHIN_MS, LASTS_MS } from "./durations.ts";

/** How Envoy reaches the process of a soak: beside it on a Unix socket, or as a service with mTLS. */
export interface SoakedListener {
  readonly address: string;
  readonly env: Readonly<Record<string, string>>;
  /** What happens to it. Each resolves once requests pass again, or the change is effective. */
  readonly steps: Readonly<Record<string, () => Promise<void>>>;
  editEnvoy(bootstrap: Document): void;
}

export async function socketListener(): Promise<SoakedListener> {
  const address = await newSocket();
  return {
    address,
    env: {},
    steps: {
      async "the socket's file is removed"() {
        rmSync(address.slice("unix:".length), { force: true });
        await pause(LASTS_MS);
      },
    },
    editEnvoy: () => undefined,
  };
}

const NAME = "latchkey.internal";
const TRANSPORT = ["static_resources", "clusters", 0, "transport_socket"];

export async function tlsListener(): Promise<SoakedListener> {
  const ca = await createCa();
  const [server, client] = [await ca.issue(NAME), await ca.issue("envoy")];
  const address = await freeAddress();
  return {
    address,
    env: { GRPC_TLS_CERT: server.certFile, GRPC_TLS_KEY: server.keyFile, GRPC_TLS_CLIENT_CA: ca.certFile },
    steps: {
      async "a new certificate of the listener"() {
        const next = await ca.issue(NAME);
        await replaceCertificate(server, next);
        await expect
          .poll(() => presentedBy(address, ca, client), { timeout: HEALED_WITHIN_MS, interval: 100 })
          .toBe(new X509Certificate(next.cert).fingerprint256);
      },
    },
    editEnvoy: (bootstrap) => bootstrap.setIn(TRANSPORT, bootstrap.createNode(transportSocket(ca, client))),
  };
}

/** The fingerprint of the certificate that a new connection gets. */
async function presentedBy(address: string, ca: TestedCa, { cert, key }: TestedCertificate): Promise<string> {
  const port = Number(address.split(":")[1]);
  const socket = connect({ host: "127.0.0.1", port, ca: ca.cert, cert, key, ALPNProtocols: ["h2"] });
  try {
    await once(socket, "secureConnect");
    return socket.getPeerCertificate().fingerprint256;
  } finally {
    socket.destroy();
  }
}

function transportSocket(ca: TestedCa, client: TestedCertificate): object {
  const certificate = {
    certificate_chain: { filename: client.certFile },
    private_key: { filename: client.keyFile },
  };
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
      sni: NAME,
      common_tls_context: {
        alpn_protocols: ["h2"],
        tls_certificates: [certificate],
        validation_context: {
          trusted_ca: { filename: ca.certFile },
          match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: NAME } }],
        },
      },
    },
  };
}
