import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { removeAtEnd } from "../support/at-end.ts";
import { newSocket } from "../support/latchkey.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const END = "end of a step";

/** The commands of one block, and the output that the page shows under it. */
interface Step {
  readonly commands: string;
  readonly shown: string;
}

test.each([
  ["tutorial.md", 15],
  ["plans.md", 10],
])("every command of %s prints the output that the page shows", async (name, leastSteps) => {
  const page = readFileSync(join(ROOT, "docs/guides", name), "utf8");
  const steps = stepsOf(page);
  expect(steps.length).toBeGreaterThan(leastSteps);
  const folder = await mkdtemp(join(tmpdir(), "latchkey-tutorial-"));
  removeAtEnd(folder);
  const terminal = openTerminal({
    HTTP_LISTEN: `127.0.0.1:${await freePort()}`,
    OPS_LISTEN: `127.0.0.1:${await freePort()}`,
    GRPC_LISTEN: await newSocket(),
    ENVOY_PORT: String(await freePort()),
    UPSTREAM_PORT: String(await freePort()),
    TMPDIR: folder,
  });
  try {
    for (const { commands, shown } of steps) {
      const output = await terminal.type(commands);
      if (!patternOf(shown).test(output)) expect(output, commands).toBe(shown);
    }
  } finally {
    await terminal.close();
  }
});

function stepsOf(page: string): readonly Step[] {
  const blocks = [...page.matchAll(/^```(sh|text)\n([\s\S]*?)^```$/gm)];
  return blocks.flatMap(([, kind, text = ""], at) => {
    if (kind !== "sh") return [];
    const [, next, shown = ""] = blocks[at + 1] ?? [];
    return [{ commands: text, shown: next === "text" ? shown.trimEnd() : "" }];
  });
}

/** `…` matches anything. White space at the end of a line does not count, because a reader cannot see it. */
function patternOf(shown: string): RegExp {
  const parts = shown.split(/ *… */).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("[\\s\\S]*?")}$`);
}

/** One bash for the whole page, with job control as in a terminal, and with the Node of the project. */
function openTerminal(env: Readonly<Record<string, string>>) {
  const PATH = [join(ROOT, "node_modules/.bin"), process.env["PATH"]].join(delimiter);
  const bash = spawn("bash", ["--norc", "--noprofile"], {
    cwd: ROOT,
    env: { PATH, HOME: process.env["HOME"], ...env },
    detached: true,
    stdio: ["pipe", "pipe", "ignore"],
  });
  bash.stdin.write("set -m; exec 2>&1\n");
  const lines = createInterface({ input: bash.stdout });
  const ended = once(bash, "exit");
  return {
    async type(commands: string): Promise<string> {
      const output: string[] = [];
      const finished = Promise.withResolvers<void>();
      const onLine = (line: string) => (line === END ? finished.resolve() : output.push(line.trimEnd()));
      lines.on("line", onLine);
      bash.stdin.write(`${commands}\necho '${END}'\n`);
      await Promise.race([finished.promise, ended]);
      lines.off("line", onLine);
      return output.join("\n").trimEnd();
    },
    /** Ends the job that a failed step may have left running. */
    async close() {
      bash.stdin.end("kill %1 2> /dev/null; wait\n");
      await ended;
    },
  };
}

/** A port that was free a moment ago. The page needs its ports before the start, so port 0 is not possible. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  return typeof address === "object" && address !== null ? address.port : 0;
}
