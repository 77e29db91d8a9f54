import { experimental, ServerCredentials } from "@grpc/grpc-js";
import type { ListenerTls } from "../config/certificates.ts";

type CertificateProvider = Parameters<typeof experimental.createCertificateProviderServerCredentials>[0];

/** Credentials with the current certificate, or without TLS. A changed certificate applies to new connections. */
export function serverCredentials(tls: ListenerTls | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const provider = certificateProvider(tls);
  const isMutual = tls.current().clientCa !== undefined;
  // The first argument provides our certificate, and the second the CA of the clients, although their types suggest otherwise.
  return experimental.createCertificateProviderServerCredentials(
    provider,
    isMutual ? provider : null,
    isMutual,
  );
}

function certificateProvider(tls: ListenerTls): CertificateProvider {
  const subscriptions = new Map<unknown, () => void>();
  const add = (listener: unknown, notify: () => void) => {
    // The server subscribes only after this call has returned, and accepts no connection before it has a certificate.
    process.nextTick(notify);
    subscriptions.set(listener, tls.onChange(notify));
  };
  const remove = (listener: unknown) => {
    subscriptions.get(listener)?.();
    subscriptions.delete(listener);
  };
  return {
    addIdentityCertificateListener: (listener) =>
      add(listener, () => {
        const { cert, key } = tls.current();
        listener({ certificate: Buffer.from(cert), privateKey: Buffer.from(key) });
      }),
    removeIdentityCertificateListener: remove,
    addCaCertificateListener: (listener) =>
      add(listener, () => listener({ caCertificate: Buffer.from(tls.current().clientCa ?? "") })),
    removeCaCertificateListener: remove,
  };
}
