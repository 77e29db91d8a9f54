import { mkdir, mkdtemp, rename, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";

const policyFor = (path: string) => `
roles: { basic: { scopes: [a], ttl: 1d, refresh_window: 1h } }
routes: [{ path: ${path}, scopes: [a] }]
`;

/** Updates a ConfigMap as kubelet does: the file is a link through ..data, which is replaced atomically. */
async function mount(folder: string, version: string, text: string): Promise<void> {
  await mkdir(join(folder, `..${version}`));
  await writeFile(join(folder, `..${version}`, "latchkey.yaml"), text);
  await symlink(`..${version}`, join(folder, "..data.new"));
  await rename(join(folder, "..data.new"), join(folder, "..data"));
}

test("a new version of a mounted ConfigMap is loaded automatically", async () => {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-configmap-"));
  removeAtEnd(folder);
  await mount(folder, "1", policyFor("/one"));
  await symlink("..data/latchkey.yaml", join(folder, "latchkey.yaml"));
  const ADMIN_TOKEN = newSecret();
  const latchkey = await startLatchkey({ ADMIN_TOKEN, POLICY_FILE: join(folder, "latchkey.yaml") });
  try {
    const client = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
    expect((await client.policy.show()).text).toContain("/one");
    await mount(folder, "2", policyFor("/two"));
    await expect.poll(async () => (await client.policy.show()).text).toContain("/two");
  } finally {
    await latchkey.stop();
  }
});
