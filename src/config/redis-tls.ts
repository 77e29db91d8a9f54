import { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { readCertificate } from "./certificates.ts";
import { textOf } from "./text-file.ts";

/** PEM texts for connections with TLS. */
export interface RedisTlsMaterial {
  /** Replaces Node's default roots. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** The PEM files of {@link RedisTlsMaterial}. */
export interface RedisTlsFiles {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export type RedisTlsResult =
  | { readonly ok: true; readonly material: RedisTlsMaterial }
  /** A sentence that begins with the name of the setting and holds nothing of the files. */
  | { readonly ok: false; readonly problem: string };

/** Reads the files and checks that a connection can be made with them. */
export function readRedisTls({ ca, cert, key }: RedisTlsFiles, nowMs: number): RedisTlsResult {
  const rejected = (problem: string) => ({ ok: false, problem }) as const;
  if ((cert === undefined) !== (key === undefined))
    return rejected(
      `${cert === undefined ? "REDIS_KEY" : "REDIS_CERT"} alone: give REDIS_CERT and REDIS_KEY`,
    );
  const caText = ca === undefined ? undefined : textOf(ca);
  if (ca !== undefined && !isCertificate(caText)) return rejected(`REDIS_CA: ${ca} is no certificate in PEM`);
  const trust = caText === undefined ? {} : { ca: caText };
  if (cert === undefined || key === undefined) return { ok: true, material: trust };
  const read = readCertificate({ cert, key }, nowMs);
  if (!read.ok) return rejected(`${read.file === "key" ? "REDIS_KEY" : "REDIS_CERT"}: ${read.problem}`);
  return { ok: true, material: { ...trust, cert: read.certificate.cert, key: read.certificate.key } };
}

function isCertificate(pem = ""): boolean {
  try {
    createSecureContext({ ca: pem });
    return new X509Certificate(pem).subject !== undefined;
  } catch {
    return false;
  }
}

/**
 * Returns a function that reads the files again for each new connection. Files that cannot be used are reported, and the last
 * usable ones are kept. Once they can be used again, `onProblem` is called with undefined.
 */
export function createRedisTlsReader(
  files: RedisTlsFiles,
  onProblem: (problem: string | undefined) => void,
): () => RedisTlsMaterial {
  let material: RedisTlsMaterial = {};
  let reported: string | undefined;
  return () => {
    const read = readRedisTls(files, Date.now());
    if (read.ok) material = read.material;
    const problem = read.ok ? undefined : read.problem;
    if (problem !== reported) onProblem(problem);
    reported = problem;
    return material;
  };
}
