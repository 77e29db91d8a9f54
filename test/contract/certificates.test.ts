import { copyFile, mkdir, mkdtemp, rename, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { CertificateFiles, WatchedCertificate } from "../../src/config/certificates.ts";
import { readCertificate, watchCertificate } from "../../src/config/certificates.ts";
import { readConfig } from "../../src/config/load.ts";
import { removeAtEnd } from "../support/at-end.ts";
import type { TestedCa, TestedCertificate } from "../support/certificates.ts";
import { createCa, replaceCertificate } from "../support/certificates.ts";

let ca: TestedCa;
let one: TestedCertificate;
let two: TestedCertificate;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latchkey-certificates-"));
  removeAtEnd(folder);
  ca = await createCa();
  [one, two] = await Promise.all([ca.issue("one"), ca.issue("two")]);
});

const filesOf = ({ certFile: cert, keyFile: key }: TestedCertificate): CertificateFiles => ({ cert, key });

describe("files that no listener accepts", () => {
  const problem = (files: CertificateFiles, nowMs = Date.now()) => {
    const read = readCertificate(files, nowMs);
    return read.ok ? "valid" : read.problem;
  };

  test("a missing file, a file of another type, and a key of another certificate are rejected", async () => {
    const files = filesOf(one);
    const odd = join(folder, "odd.pem");
    await writeFile(odd, "-----BEGIN SECRET-----\nhunter2\n");
    expect(problem(files)).toBe("valid");
    expect(problem({ ...files, clientCa: ca.certFile })).toBe("valid");
    expect(problem({ ...files, cert: "/nowhere" })).toBe("/nowhere cannot be read");
    expect(problem({ ...files, key: "/nowhere" })).toBe("/nowhere cannot be read");
    expect(problem({ ...files, cert: odd })).toBe(`${odd} is not a PEM certificate`);
    expect(problem({ ...files, key: odd })).toBe(`${odd} is not a PEM private key without a passphrase`);
    expect(problem({ ...files, key: two.keyFile })).toBe(`${two.keyFile} is not the key of ${one.certFile}`);
    expect(problem({ ...files, clientCa: odd })).toBe(`${odd} is not a PEM certificate`);
    expect(problem({ ...files, clientCa: "/nowhere" })).toBe("/nowhere is not a PEM certificate");
  });

  test("an expired certificate is rejected", () => {
    expect(problem(filesOf(one), Date.now() + 2 * 86_400_000)).toBe(`${one.certFile} has expired`);
  });
});

describe("the settings", () => {
  const problems = (environment: Record<string, string>) => {
    const config = readConfig(environment, () => "");
    return config.ok ? [] : config.problems;
  };

  test("a certificate without its key never means clear text, and an invalid pair stops the start", () => {
    expect(problems({ GRPC_TLS_CERT: one.certFile })).toEqual([
      "GRPC_TLS_CERT alone: give GRPC_TLS_CERT and GRPC_TLS_KEY",
    ]);
    expect(problems({ HTTP_TLS_CLIENT_CA: ca.certFile, HTTP_TLS_KEY: one.keyFile })).toEqual([
      "HTTP_TLS_KEY and HTTP_TLS_CLIENT_CA alone: give HTTP_TLS_CERT and HTTP_TLS_KEY",
    ]);
    expect(problems({ AUTH_TLS_KEY: one.keyFile })).toEqual([
      "AUTH_TLS_KEY alone: give AUTH_TLS_CERT and AUTH_TLS_KEY",
    ]);
    expect(problems({ GRPC_TLS_CERT: one.certFile, GRPC_TLS_KEY: two.keyFile })).toEqual([
      `GRPC_TLS_KEY: ${two.keyFile} is not the key of ${one.certFile}`,
    ]);
  });

  test("in production a listener beyond loopback needs a certificate, or a mesh that encrypts", () => {
    const listeners = {
      GRPC_LISTEN: "0.0.0.0:1",
      HTTP_LISTEN: "0.0.0.0:2",
      OPERATOR_LISTEN: "0.0.0.0:3",
      AUTH_LISTEN: "0.0.0.0:4",
    };
    const clear = (more: Record<string, string>) =>
      problems({ ENVIRONMENT: "production", ...listeners, ...more })
        .filter((problem) => problem.includes("clear text"))
        .map((problem) => problem.split(" ")[0]);
    const grpc = { GRPC_TLS_CERT: one.certFile, GRPC_TLS_KEY: one.keyFile };
    const http = { HTTP_TLS_CERT: one.certFile, HTTP_TLS_KEY: one.keyFile };
    const auth = { AUTH_TLS_CERT: one.certFile, AUTH_TLS_KEY: one.keyFile };
    expect(clear({})).toEqual(["GRPC_LISTEN", "HTTP_LISTEN", "OPERATOR_LISTEN", "AUTH_LISTEN"]);
    expect(clear(grpc)).toEqual(["HTTP_LISTEN", "OPERATOR_LISTEN", "AUTH_LISTEN"]);
    expect(clear({ ...grpc, ...http })).toEqual(["AUTH_LISTEN"]);
    expect(clear({ ...grpc, ...http, ...auth })).toEqual([]);
    expect(clear({ ...http, ALLOW_CLEARTEXT: "grpc,auth" })).toEqual([]);
  });
});

describe("while the listener is open", () => {
  /** Resolves at the next report: a problem, or undefined for a loaded certificate. */
  function watched(files: CertificateFiles) {
    const waiting: ((problem: string | undefined) => void)[] = [];
    const tls = watchCertificate(files, (problem) =>
      waiting.splice(0).forEach((report) => void report(problem)),
    );
    const next = () => new Promise<string | undefined>((resolve) => waiting.push(resolve));
    return { tls, next };
  }

  async function pairIn(name: string): Promise<CertificateFiles> {
    const place = join(folder, name);
    await mkdir(place);
    const files = { cert: join(place, "tls.crt"), key: join(place, "tls.key") };
    await copyFile(one.certFile, files.cert);
    await copyFile(one.keyFile, files.key);
    return files;
  }

  const shown = (tls: WatchedCertificate) => tls.current().cert;

  test("a new pair is loaded, and half of one or an invalid one leaves the old in use", async () => {
    const files = await pairIn("plain");
    const { tls, next } = watched(files);
    let changes = 0;
    const unsubscribe = tls.onChange(() => changes++);
    let reported = next();
    await copyFile(two.keyFile, files.key);
    expect(await reported).toBe(`${files.key} is not the key of ${files.cert}`);
    expect([shown(tls), changes]).toEqual([one.cert, 0]);
    reported = next();
    await copyFile(two.certFile, files.cert);
    expect(await reported).toBeUndefined();
    expect([shown(tls), changes]).toEqual([two.cert, 1]);
    unsubscribe();
    reported = next();
    await replaceCertificate({ certFile: files.cert, keyFile: files.key }, one);
    expect(await reported).toBeUndefined();
    expect([shown(tls), changes]).toEqual([one.cert, 1]);
    tls.close();
  });

  test("a link that changes its target is a change, as in a mounted Secret", async () => {
    const root = join(folder, "mounted");
    await mkdir(root);
    const version = async (name: string, { certFile, keyFile }: TestedCertificate) => {
      await mkdir(join(root, name));
      await copyFile(certFile, join(root, name, "tls.crt"));
      await copyFile(keyFile, join(root, name, "tls.key"));
      await symlink(name, join(root, "..data.new"));
      await rename(join(root, "..data.new"), join(root, "..data"));
    };
    await version("..1", one);
    for (const name of ["tls.crt", "tls.key"]) await symlink(join("..data", name), join(root, name));
    const { tls, next } = watched({ cert: join(root, "tls.crt"), key: join(root, "tls.key") });
    const reported = next();
    await version("..2", two);
    expect(await reported).toBeUndefined();
    expect(shown(tls)).toBe(two.cert);
    tls.close();
  });

  test("the first pair must be valid", () => {
    expect(() => watchCertificate({ cert: "/nowhere", key: one.keyFile }, () => undefined)).toThrow(
      "/nowhere cannot be read",
    );
  });
});
