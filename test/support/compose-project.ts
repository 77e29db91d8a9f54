import { cpSync, mkdtempSync, realpathSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { run } from "../../scripts/run.ts";
import { removeAtEnd } from "./at-end.ts";
import type { ComposeProject } from "./compose-runner.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Sends the request of its arguments, and prints the response as JSON. */
const FETCH = `const [url, init] = process.argv.slice(1);
const response = await fetch(url, JSON.parse(init));
console.log(JSON.stringify({ status: response.status, body: await response.text() }));`;
const answer = z.object({ status: z.number(), body: z.string() });

/** A folder with the files of the project and new secrets, as a user has it before `docker compose up`. */
export async function composeFolder(): Promise<string> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "latchkey-compose-")));
  removeAtEnd(folder);
  cpSync(join(ROOT, "deploy"), join(folder, "deploy"), { recursive: true });
  cpSync(join(ROOT, "latchkey.yaml"), join(folder, "latchkey.yaml"));
  await run("sh", [join(folder, "deploy/compose/make-secrets.sh")]);
  return folder;
}

/** Sends a request from the network of the project. */
export async function sendInside(project: Pick<ComposeProject, "node">, url: string, init: RequestInit = {}) {
  return answer.parse(JSON.parse(await project.node(FETCH, url, JSON.stringify(init))));
}
