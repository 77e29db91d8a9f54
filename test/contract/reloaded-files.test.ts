import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { csvReader } from "../../src/cli/import/csv.ts";
import { readCertificate } from "../../src/config/certificates.ts";
import { readConfig } from "../../src/config/load.ts";
import { openSigningKeys } from "../../src/jwt/signing-keys.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { createCa } from "../support/certificates.ts";
import { jwkSet, newJwk } from "../support/jwk.ts";
import { newSecret } from "../support/keys.ts";
import { mutationsOf } from "../support/mutated-text.ts";

// For the policy and its cases see src/policy/yaml-file.test.ts.

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-files-"));
  removeAtEnd(folder);
  return folder;
}

test("any content of JWT_KEYS_FILE is loaded or rejected with its name, and no secret is shown", async () => {
  const JWT_KEYS_FILE = join(await newFolder(), "keys.json");
  const first = newJwk("ES256", "first");
  const text = jwkSet(first, newJwk("RS256", "second"));
  await writeFile(JWT_KEYS_FILE, text);
  const config = readConfig({ JWT_SECRET: newSecret(), JWT_KEYS_FILE }, () => "");
  if (!config.ok) throw new Error(config.problems.join("\n"));
  const opened = await openSigningKeys(config.settings);
  if (!opened.ok || opened.keys === undefined) throw new Error("no keys");
  const { keys } = opened;
  await fc.assert(
    fc.asyncProperty(mutationsOf(text), async (mutated) => {
      await writeFile(JWT_KEYS_FILE, mutated);
      const reload = await keys.reload();
      if (reload.kind !== "refused") return;
      for (const problem of reload.problems) {
        expect(problem).toContain(JWT_KEYS_FILE);
        expect(problem).not.toContain(String(first["d"]));
      }
    }),
    { numRuns: 200 },
  );
});

test("any content of a certificate's files is loaded or rejected with its name", async () => {
  const { certFile, keyFile } = await createCa();
  const folder = await newFolder();
  const files = {
    cert: join(folder, "cert.pem"),
    key: join(folder, "key.pem"),
    clientCa: join(folder, "ca.pem"),
  };
  const [cert, key] = await Promise.all([readFile(certFile, "utf8"), readFile(keyFile, "utf8")]);
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(fc.constant(cert), mutationsOf(cert)),
      fc.oneof(fc.constant(key), mutationsOf(key)),
      fc.oneof(fc.constant(cert), mutationsOf(cert)),
      async (...texts) => {
        await Promise.all(Object.values(files).map((file, at) => writeFile(file, texts[at] ?? "")));
        const read = readCertificate(files, Date.now());
        if (!read.ok) expect(read.problem).toContain(folder);
      },
    ),
    { numRuns: 200 },
  );
});

test("any line of CSV is read or rejected", () => {
  const heading = "api_key,name,role,owner,created_at,expires_at";
  const line = `key_0123456789,"a ""quoted"", name",basic,acme,2026-01-01T00:00:00Z,`;
  fc.assert(
    fc.property(mutationsOf(heading), mutationsOf(line), (first, second) => {
      const read = csvReader(heading.split(","));
      for (const [at, text] of [first, second, line].entries())
        expect(Object.keys(read(text, at + 1))).toHaveLength(1);
    }),
    { numRuns: 300 },
  );
});
