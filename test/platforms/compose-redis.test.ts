import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { PLATFORMS, writeNote } from "../../scripts/platforms.ts";
import { REGISTRY_SLOT } from "../support/cluster.ts";
import { readCompose } from "../support/compose.ts";
import { imagesOfStore, versionsHere } from "../support/compose-images.ts";
import { composeFolder, sendInside } from "../support/compose-project.ts";
import type { ComposeProject } from "../support/compose-runner.ts";
import { startCompose } from "../support/compose-runner.ts";

const WITHIN = { timeout: 120_000, interval: 500 };
const API = "http://127.0.0.1:8000/api/auth/v2";

/** Of each file: the service that fails over, and how the tests ask who is the primary. */
const TOPOLOGIES = [
  {
    overlay: "sentinel.yaml",
    wholeAgain: ["redis", "redis-2", "redis-3"],
    /** The address that a Sentinel names. */
    primary: (project: ComposeProject, secret: Secret) =>
      cli(project, "sentinel-2", ["-p", "26379"], secret("redis_sentinel_password"), [
        ...["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"],
      ]).then((reply) => reply.split("\n")[0] ?? ""),
  },
  {
    overlay: "cluster.yaml",
    wholeAgain: ["redis", "redis-2", "redis-3", "redis-4", "redis-5", "redis-6"],
    /** The address of the registry's node, as another node names it. */
    primary: async (project: ComposeProject, secret: Secret) => {
      const reply = await cli(project, "redis-3", [], secret("redis_password"), ["CLUSTER", "SLOTS"]);
      return ownerOf(REGISTRY_SLOT, reply.split("\n"));
    },
  },
] as const;

type Secret = (name: string) => string;

async function cli(
  project: ComposeProject,
  service: string,
  where: readonly string[],
  password: string,
  command: readonly string[],
): Promise<string> {
  const asked = `REDISCLI_AUTH=${password} exec redis-cli --user latchkey -h "$ADDRESS" "$@"`;
  const result = await project.services.get(service)?.exec(["sh", "-c", asked, "sh", ...where, ...command]);
  if (result?.code !== 0) throw new Error(result?.output);
  return result.output.trim();
}

/** The lines of `CLUSTER SLOTS` repeat: first slot, last slot, then address, port and id of each node. */
function ownerOf(slot: number, lines: readonly string[]): string {
  for (const [at, line] of lines.entries()) {
    const last = Number(lines[at + 1]);
    const address = lines[at + 2] ?? "";
    const isRange = /^\d+$/.test(line) && /^\d+$/.test(lines[at + 1] ?? "") && address.includes(".");
    if (isRange && Number(line) <= slot && slot <= last) return address;
  }
  throw new Error(`no node serves slot ${slot}`);
}

describe(PLATFORMS["compose-redis.test.ts"], () => {
  describe.each(TOPOLOGIES)("compose.yaml with $overlay", ({ overlay, primary, wholeAgain }) => {
    const file = readCompose(overlay);
    let folder: string;
    let project: ComposeProject;
    const secret: Secret = (name) =>
      readFileSync(join(folder, "deploy/compose/secrets", name), "utf8").trim();

    beforeAll(async () => {
      folder = await composeFolder();
      project = await startCompose({
        file,
        folder: join(folder, "deploy/compose"),
        images: await imagesOfStore(file),
      });
      writeNote("compose-redis.test.ts", { versions: await versionsHere() });
    });

    afterAll(async () => {
      await project?.stop();
      await rm(folder, { recursive: true, force: true });
    });

    const send = (url: string, init?: RequestInit) => sendInside(project, url, init);

    /** A failover answers 503, and so does a primary without a replica, because of REDIS_WAIT_REPLICAS. */
    const register = () =>
      vi.waitFor(async () => {
        const issued = await send(`${API}/register`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ name: "compose", key_type: "basic" }),
        });
        expect(issued.status).toBe(201);
        return z.object({ api_key: z.string(), key_id: z.string() }).parse(JSON.parse(issued.body));
      }, WITHIN);

    const isListed = async (keyId: string) => {
      const headers = { authorization: `Bearer ${secret("admin_token")}` };
      return (await send(`http://127.0.0.1:8001/api/admin/keys/${keyId}`, { headers })).status === 200;
    };

    const nameOf = (address: string): string => {
      const [name = ""] =
        Object.entries(file.services).find(
          ([, { networks }]) => networks?.default.ipv4_address === address,
        ) ?? [];
      return name;
    };

    const end = async (name: string, signal: string): Promise<void> => {
      const container = project.services.get(name);
      await container?.signal(signal);
      await container?.exited;
    };

    test("a killed primary is replaced, and no acknowledged key is lost", async () => {
      const { key_id } = await register();
      const first = await primary(project, secret);
      await end(nameOf(first), "KILL");
      await vi.waitFor(async () => expect(await primary(project, secret)).not.toBe(first), WITHIN);
      await project.restart(nameOf(first));
      const later = await register();
      await vi.waitFor(async () => {
        expect([await isListed(key_id), await isListed(later.key_id)]).toEqual([true, true]);
      }, WITHIN);
    });

    test("after a stop of all of them, the promoted node is still the primary, and has all keys", async () => {
      const { key_id } = await register();
      const promoted = await primary(project, secret);
      expect(promoted).not.toBe(file.services["redis"]?.networks?.default.ipv4_address);
      const names = Object.keys(file.services).filter((name) => /^(?:redis|sentinel)/.test(name));
      for (const name of names) await end(name, "TERM");
      for (const name of wholeAgain) await project.restart(name);
      for (const name of names) if (!wholeAgain.some((one) => one === name)) await project.restart(name);
      await vi.waitFor(async () => expect(await primary(project, secret)).toBe(promoted), WITHIN);
      await vi.waitFor(async () => expect(await isListed(key_id)).toBe(true), WITHIN);
      await register();
    });
  });
});
