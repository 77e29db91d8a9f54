import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";

test("a cached token takes less than 250 bytes, and an evicted or cleared one takes none", () => {
  const url = (name: string) => JSON.stringify(new URL(name, import.meta.url));
  const fill = `
    import { createKeyRing } from ${url("key-ring.ts")};
    import { createSigner } from ${url("signer.ts")};
    import { createVerifier } from ${url("verifier.ts")};
    const names = { issuer: "api", audience: "latchkey" };
    const ring = await createKeyRing(["a secret of a test, and of nothing else"]);
    const signer = createSigner(() => ring, names);
    const verifier = createVerifier({ ...names, ring: () => ring, cacheSize: 5_000 });
    const now = Math.floor(Date.now() / 1000);
    const times = { familyStartedAt: now, issuedAt: now, expiresAt: now + 3600, refreshAfter: now };
    const verifyFrom = async (first) => {
      for (let at = first; at < first + 5_000; at++) {
        const id = "role_" + now + "_" + String(at).padStart(22, "K");
        const record = { keyId: id, family: id, role: "role", scopes: [], name: "of a test", ...times };
        const { ok } = await verifier.verify(await signer.sign(record), Date.now());
        if (!ok) throw new Error("not verified");
      }
    };
    const used = () => {
      for (let i = 0; i < 4; i++) gc();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    };
    await verifyFrom(0);
    const full = used();
    await verifyFrom(5_000);
    const replaced = used();
    verifier.clear();
    console.log(JSON.stringify({ held: (full - used()) / 5_000, grown: (replaced - full) / 5_000 }));
  `;
  const args = ["--expose-gc", "--input-type=module", "--eval", fill];
  const { held, grown } = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
  // The table itself, 30 bytes for each place, remains.
  expect(held).toBeGreaterThan(150);
  expect(held).toBeLessThan(220);
  expect(Math.abs(grown)).toBeLessThan(15);
});
