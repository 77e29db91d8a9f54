import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { runLatchkey } from "../support/program.ts";
import { replaceFile } from "../support/replace-file.ts";

const ADMIN_TOKEN = newSecret();

let latchkey: TestedLatchkey;
let file: string;

beforeAll(async () => {
  latchkey = await startLatchkey({ JWT_SECRET: newSecret(), ADMIN_TOKEN }, { policy: "routes: []\n" });
  file = join(latchkey.cwd, "latchkey.yaml");
});

afterAll(async () => {
  await latchkey?.stop();
});

test.each([
  ["an unquoted pattern", "routes:\n  - { path: /p, public: true, hosts: [*.example.com] }\n", 2],
  ["an alias without its anchor", "roles: *x\n", 1],
  ["a merge key", "roles:\n  <<: *defaults\n", 2],
  ["a merge of a scalar", "%YAML 1.1\n---\nroles:\n  <<: 3\n", 4],
  ["an alias within its own anchor", "roles: &a\n  b: *a\n", 2],
  ["20,000 nested lists", "[".repeat(20_000), 1],
])(
  "a policy with %s is rejected with file and line; a running process continues, and a new one does not start",
  async (_, text, line) => {
    const client = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
    const { hash } = await client.policy.show();
    const logged = latchkey.output().length;
    await replaceFile(file, text);
    await expect.poll(() => latchkey.output().slice(logged)).toContain(`latchkey.yaml:${line}: `);
    expect((await client.policy.show()).hash).toBe(hash);
    expect((await fetch(`http://${latchkey.ops}/readyz`)).status).toBe(200);
    const started = runLatchkey(["serve"], { POLICY_FILE: file, DATA_DIR: join(latchkey.cwd, "unused") });
    expect(started).toMatchObject({ status: 1, stderr: expect.stringContaining(`${file}:${line}: `) });
    const checked = runLatchkey(["policy", "check", file]);
    expect(checked).toMatchObject({ status: 1, stderr: expect.stringContaining(`${file}:${line}: `) });
    for (const { stderr } of [started, checked]) expect(stderr).not.toMatch(/^\s+at /m);
  },
);
