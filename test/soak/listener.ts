import type { Document } from "yaml";
import type { TestedCa, TestedCertificate } from "../support/certificates.ts";
import { createCa, replaceCertificate } from "../support/certificates.ts";
import { freeAddress, newSocket } from "../support/latchkey.ts";

/** How Envoy reaches the process of a soak: beside it on a Unix socket, or as a service with mTLS. */
export interface SoakedListener {
  readonly address: string;
  readonly env: Readonly<Record<string, string>>;
  /** Of a Unix socket. */
  readonly socketFile?: string;
  /** Replaces the certificate, and returns the new one. */
  readonly renewCertificate?: () => Promise<TestedCertificate>;
  /** What a client presents and trusts. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
  editEnvoy(bootstrap: Document): void;
}

export async function socketListener(): Promise<SoakedListener> {
  const address = await newSocket();
  return { address, env: {}, socketFile: address.slice("unix:".length), editEnvoy: () => undefined };
}

const NAME = "latchkey.internal";
const TRANSPORT = ["static_resources", "clusters", 0, "transport_socket"];

export async function tlsListener(): Promise<SoakedListener> {
  const ca = await createCa();
  const [server, client] = [await ca.issue(NAME), await ca.issue("envoy")];
  return {
    address: await freeAddress(),
    env: { GRPC_TLS_CERT: server.certFile, GRPC_TLS_KEY: server.keyFile, GRPC_TLS_CLIENT_CA: ca.certFile },
    tls: { ca: ca.cert, cert: client.cert, key: client.key },
    async renewCertificate() {
      const next = await ca.issue(NAME);
      await replaceCertificate(server, next);
      return next;
    },
    editEnvoy: (bootstrap) => bootstrap.setIn(TRANSPORT, bootstrap.createNode(transportSocket(ca, client))),
  };
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
