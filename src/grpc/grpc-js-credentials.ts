import { experimental, ServerCredentials } from "@grpc/grpc-js";
import type { ListenerTls } from "../config/certificates.ts";

type CertificateProvider = Parameters<typeof experimental.createCertificateProviderServerCredentials>[0];

/** What a gRPC server shows: nothing, or the certificate of the moment. A change holds for connections made after it. */
export function serverCredentials(tls: ListenerTls | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const provider = certificateProvider(tls);
  const mutual = tls.current().clientCa !== undefined;
  // The first is whose certificate is shown, the second whose clients are taken, whatever the names in its types say.
  return experimental.createCertificateProviderServerCredentials(provider, mutual ? provider : null, mutual);
}

function certificateProvider(tls: ListenerTls): CertificateProvider {
  const stops = new Map<unknown, () => void>();
  const add = (listener: unknown, tell: () => void) => {
    // The server listens only once this call has returned, and takes no connection before it has heard.
    process.nextTick(tell);
    stops.set(listener, tls.onChange(tell));
  };
  const remove = (listener: unknown) => {
    stops.get(listener)?.();
    stops.delete(listener);
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
