import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { Reload } from "./reloadable.ts";
import { createReloadable } from "./reloadable.ts";
import { textOf } from "./text-file.ts";

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
  /** The problem is a sentence that quotes nothing from the files. */
  | { readonly ok: false; readonly file: keyof CertificateFiles; readonly problem: string };

/** Reads a listener's certificate and verifies that a listener can use it. */
export function readCertificate(files: CertificateFiles, nowMs: number): CertificateResult {
  const rejected = (file: keyof CertificateFiles, problem: string) =>
    ({ ok: false, file, problem: `${files[file]} ${problem}` }) as const;
  const [cert, key] = [textOf(files.cert), textOf(files.key)];
  const clientCa = files.clientCa === undefined ? undefined : textOf(files.clientCa);
  if (cert === undefined) return rejected("cert", "cannot be read");
  if (key === undefined) return rejected("key", "cannot be read");
  const known = parsed(() => new X509Certificate(cert));
  if (known === undefined) return rejected("cert", "is not a PEM certificate");
  const privateKey = parsed(() => createPrivateKey(key));
  if (privateKey === undefined) return rejected("key", "is not a PEM private key without a passphrase");
  if (!known.checkPrivateKey(privateKey)) return rejected("key", `is not the key of ${files.cert}`);
  const endsAtMs = known.validToDate.getTime();
  if (endsAtMs <= nowMs) return rejected("cert", "has expired");
  if (files.clientCa !== undefined && parsed(() => new X509Certificate(clientCa ?? "")) === undefined) {
    return rejected("clientCa", "is not a PEM certificate");
  }
  const certificate = { cert, key, ...(clientCa !== undefined && { clientCa }) };
  const usable = parsed(() => createSecureContext({ cert, key, ca: clientCa })) !== undefined;
  return usable ? { ok: true, certificate, endsAtMs } : rejected("cert", "cannot be used");
}

/** Why a listener cannot use these files, and which file is wrong; undefined if it can. */
export function certificateProblem(
  files: CertificateFiles,
): Extract<CertificateResult, { ok: false }> | undefined {
  const read = readCertificate(files, Date.now());
  return read.ok ? undefined : read;
}

/** A parser's result, or undefined if it throws. Its error message is dropped, because it might quote a secret file. */
function parsed<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}

export interface WatchedCertificate extends ListenerTls {
  /** When the current certificate expires, in Unix milliseconds. */
  endsAtMs(): number;
  close(): void;
}

/**
 * Keeps a listener's certificate up to date with its files while the listener is open. An invalid certificate is rejected,
 * and the old one stays. Throws if there is no valid certificate at first.
 * @param onReload called after every change, with the problem of an invalid certificate
 */
export function watchCertificate(
  files: CertificateFiles,
  onReload: (problem: string | undefined) => void,
): WatchedCertificate {
  const first = readCertificate(files, Date.now());
  if (!first.ok) throw new Error(first.problem);
  const { cert, key, clientCa } = files;
  const reloadable = createReloadable<LoadedCertificate>({
    files: [cert, key, ...(clientCa === undefined ? [] : [clientCa])],
    first,
    read: (current) => reloadCertificate(files, current),
  });
  const listeners = new Set<() => void>();
  reloadable.onReload((reload) => {
    if (reload.kind === "taken") for (const changed of listeners) changed();
    onReload(reload.kind === "taken" ? undefined : reload.problems.join());
  });
  reloadable.watch();
  return {
    current: () => reloadable.current().certificate,
    endsAtMs: () => reloadable.current().endsAtMs,
    onChange(changed) {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
    close: reloadable.close,
  };
}

type LoadedCertificate = Pick<Extract<CertificateResult, { ok: true }>, "certificate" | "endsAtMs">;

function reloadCertificate(
  files: CertificateFiles,
  { certificate }: LoadedCertificate,
): Reload<LoadedCertificate> {
  const found = readCertificate(files, Date.now());
  if (!found.ok) return { kind: "refused", problems: [found.problem] };
  const isUnchanged = JSON.stringify(found.certificate) === JSON.stringify(certificate);
  return isUnchanged ? { kind: "unchanged" } : { kind: "taken", value: found };
}
