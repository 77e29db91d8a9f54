import type { ListenerTls } from "../config/certificates.ts";
import { watchCertificate } from "../config/certificates.ts";
import type { TlsListener } from "../config/listener-certificate.ts";
import { certificateFiles } from "../config/listener-certificate.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import type { Runtime } from "./runtime.ts";

/** The certificate of a listener that has one. An invalid new certificate is rejected and logged, and the old one stays. */
export function openTls(
  listener: TlsListener,
  { settings, log, shutdown, metrics }: Omit<Runtime, "clock">,
): { readonly tls?: ListenerTls } {
  const files = certificateFiles(listener, settings);
  if (files === undefined) return {};
  const tls = watchCertificate(files, (problem) => {
    metrics.certificate(listener, tls.endsAtMs());
    if (problem === undefined) log.info({ listener, file: files.cert }, "a new certificate is in use");
    else log.error({ listener, problem }, FAULTS.certificateRejected);
  });
  shutdown.defer(`the watch on the ${listener} certificate`, tls.close);
  metrics.certificate(listener, tls.endsAtMs());
  return { tls };
}
