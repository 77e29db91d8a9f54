import { execFile } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { copyFile, mkdtemp, readFile, rename } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { removeAtEnd } from "./at-end.ts";

const run = promisify(execFile);

/** A certificate and its key, as PEM files and as text. */
export interface TestedCertificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
  /** The thumbprint that binds a key to it (RFC 8705 §3.1). */
  readonly thumbprint: string;
}

export interface TestedCa extends TestedCertificate {
  /**
   * Issues a certificate for this host name, for servers and clients; it is valid for `localhost` and 127.0.0.1
   * too.
   */
  issue(name: string, options?: { readonly days?: number }): Promise<TestedCertificate>;
}

/** Creates a certificate authority with the machine's openssl. */
export async function createCa(name = "test authority"): Promise<TestedCa> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-ca-"));
  removeAtEnd(folder);
  const ca = await certificate(folder, name, ["-addext", "basicConstraints=critical,CA:TRUE"]);
  let issued = 0;
  return {
    ...ca,
    issue(leaf, { days = 1 } = {}) {
      issued += 1;
      const names = ["-addext", `subjectAltName=DNS:${leaf},DNS:localhost,IP:127.0.0.1`];
      const end = ["-addext", "basicConstraints=critical,CA:FALSE", "-days", String(days)];
      const by = ["-CA", ca.certFile, "-CAkey", ca.keyFile];
      return certificate(folder, leaf, [...by, ...names, ...end], `-${issued}`);
    },
  };
}

async function certificate(
  folder: string,
  name: string,
  args: readonly string[],
  suffix = "",
): Promise<TestedCertificate> {
  const [certFile, keyFile] = [join(folder, `cert${suffix}.pem`), join(folder, `key${suffix}.pem`)];
  const made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", `/CN=${name}`];
  await run("openssl", ["req", "-x509", ...made, "-keyout", keyFile, "-out", certFile, ...args]);
  const [cert, key] = await Promise.all([readFile(certFile, "utf8"), readFile(keyFile, "utf8")]);
  const thumbprint = createHash("sha256").update(new X509Certificate(cert).raw).digest("base64url");
  return { certFile, keyFile, cert, key, thumbprint };
}

/** Replaces a listener's certificate, each file atomically. */
export async function replaceCertificate(
  at: Pick<TestedCertificate, "certFile" | "keyFile">,
  by: TestedCertificate,
): Promise<void> {
  for (const file of ["keyFile", "certFile"] as const) {
    await copyFile(by[file], `${at[file]}.new`);
    await rename(`${at[file]}.new`, at[file]);
  }
}
