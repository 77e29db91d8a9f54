import type { CertificateFiles } from "./certificates.ts";
import type { Settings } from "./settings.ts";

/** The listeners that have a certificate. The operator listener uses that of the HTTP listener. */
export type TlsListener = "GRPC" | "HTTP" | "AUTH";

/** The files of a listener's certificate; undefined if the listener uses clear text. */
export function certificateFiles(listener: TlsListener, settings: Settings): CertificateFiles | undefined {
  const [cert, key] = [settings[`${listener}_TLS_CERT`], settings[`${listener}_TLS_KEY`]];
  const clientCa = settings[`${listener}_TLS_CLIENT_CA`];
  if (cert === undefined || key === undefined) return undefined;
  return { cert, key, ...(clientCa !== undefined && { clientCa }) };
}
