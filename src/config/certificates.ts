import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { textOf } from "./text-file.ts";
import { watchFiles } from "./watched-files.ts";

/** The certificate of a listener, and the CA of the clients that it accepts. Both may change while the listener is open. */
export interface ListenerTls {
  /** PEM texts. With `clientCa`, clients must present a certificate that this CA issued. Whether it is set never changes. */
  readonly current: () => { readonly cert: string; readonly key: string; readonly clientCa?: string };
  /** Calls `changed` after each change. Returns a function that ends the subscription. */
  readonly onChange: (changed: () => void) => () => void;
}

/** The PEM files of a listener's certificate. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
  readonly clientCa?: string;
}

type Certificate = ReturnType<ListenerTls["current"]>;

export type CertificateResult =
  | { readonly ok: true; readonly certificate: Certificate; readonly endsAtMs: number }
  /** What is wrong with which file, in a sentence that holds nothing of the files. */
  | { readonly ok: false; readonly file: keyof CertificateFiles; readonly problem: string };

/** Reads a door's certificate, and sees that a door can be opened with it. */
export function readCertificate(files: CertificateFiles, nowMs: number): CertificateResult {
  const refused = (file: keyof CertificateFiles, problem: string) =>
    ({ ok: false, file, problem: `${files[file]} ${problem}` }) as const;
  const [cert, key] = [textOf(files.cert), textOf(files.key)];
  const clientCa = files.clientCa === undefined ? undefined : textOf(files.clientCa);
  if (cert === undefined) return refused("cert", "cannot be read");
  if (key === undefined) return refused("key", "cannot be read");
  const known = parsed(() => new X509Certificate(cert));
  if (known === undefined) return refused("cert", "is no certificate in PEM");
  const privateKey = parsed(() => createPrivateKey(key));
  if (privateKey === undefined) return refused("key", "is no private key in PEM without a passphrase");
  if (!known.checkPrivateKey(privateKey)) return refused("key", `is not the key of ${files.cert}`);
  const endsAtMs = known.validToDate.getTime();
  if (endsAtMs <= nowMs) return refused("cert", "has expired");
  if (files.clientCa !== undefined && parsed(() => new X509Certificate(clientCa ?? "")) === undefined) {
    return refused("clientCa", "is no certificate in PEM");
  }
  const certificate = { cert, key, ...(clientCa !== undefined && { clientCa }) };
  const usable = parsed(() => createSecureContext({ cert, key, ca: clientCa })) !== undefined;
  return usable ? { ok: true, certificate, endsAtMs } : refused("cert", "cannot be used");
}

/** Why a door cannot be opened with these files, and which one is wrong; or undefined. */
export function certificateProblem(
  files: CertificateFiles,
): Extract<CertificateResult, { ok: false }> | undefined {
  const read = readCertificate(files, Date.now());
  return read.ok ? undefined : read;
}

/** What a parser makes of a text, or undefined where it throws: its words might quote what a secret file holds. */
function parsed<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}

export interface WatchedCertificate extends ListenerTls {
  /** When the one that is shown ends. */
  endsAtMs(): number;
  close(): void;
}

/**
 * Keeps a door's certificate as its files have it. A changed one is taken up while the door is open; one that is not
 * good is refused, and the old one stays. Throws when there is no good one to begin with.
 */
export function watchCertificate(
  files: CertificateFiles,
  told: (problem: string | undefined) => void,
): WatchedCertificate {
  const first = readCertificate(files, Date.now());
  if (!first.ok) throw new Error(first.problem);
  let { certificate, endsAtMs } = first;
  const listeners = new Set<() => void>();
  const { cert, key, clientCa } = files;
  const stop = watchFiles([cert, key, ...(clientCa === undefined ? [] : [clientCa])], () => {
    const found = readCertificate(files, Date.now());
    if (found.ok && JSON.stringify(found.certificate) === JSON.stringify(certificate)) return;
    if (found.ok) {
      ({ certificate, endsAtMs } = found);
      for (const changed of listeners) changed();
    }
    told(found.ok ? undefined : found.problem);
  });
  return {
    current: () => certificate,
    endsAtMs: () => endsAtMs,
    onChange(changed) {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
    close: stop,
  };
}
