import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { run } from "../../scripts/run.ts";
import { acceptedFrom, CONVERSATIONS, DIFFERENCES, differences, outcomesAt } from "../peers/comparison.ts";
import type { Peer, PeerName } from "../peers/peers.ts";
import { PEERS, startOurs, startPeer } from "../peers/peers.ts";

const MINUTE_MS = 60_000;
/** A compiler may share its cores with other tests. */
const BUILD_MS = 10 * MINUTE_MS;

const COMPILERS: Readonly<Record<PeerName, string | undefined>> = {
  nghttp2: undefined,
  go: "go",
  rust: "cargo",
};

/** The peers that this machine can build. */
const peers = (await Promise.all(PEERS.map(canRun))).flatMap((name) => (name === undefined ? [] : [name]));

async function canRun(name: PeerName): Promise<PeerName | undefined> {
  const compiler = COMPILERS[name];
  if (compiler === undefined) return name;
  try {
    await run(compiler, [compiler === "go" ? "version" : "--version"]);
    return name;
  } catch {
    process.stderr.write(`not run: HTTP/2 of ${name}, because this machine lacks ${compiler}\n`);
    return undefined;
  }
}

const faults: unknown[] = [];
let server: Peer;
let ours: ReadonlyMap<string, string>;

beforeAll(async () => {
  server = await startOurs((error) => faults.push(error));
  ours = await outcomesAt(server.port);
}, BUILD_MS);

afterAll(async () => {
  await server?.close();
});

test("the names of the conversations are unique, and our server serves all of them without a fault", () => {
  expect(new Set(CONVERSATIONS.map(({ name }) => name)).size).toBe(CONVERSATIONS.length);
  expect(ours.size).toBe(CONVERSATIONS.length);
  expect(faults).toEqual([]);
});

test("docs/proof.md counts the conversations and the differences", () => {
  const document = readFileSync(new URL("../../docs/proof.md", import.meta.url), "utf8");
  expect(document).toContain(`sends ${CONVERSATIONS.length} byte streams`);
  const rowOf = (what: string, isCounted: (kind: string) => boolean) => {
    const counts = PEERS.map(
      (peer) =>
        DIFFERENCES.filter((entry) => isCounted(entry.class))
          .flatMap(({ found }) => found.filter((group) => group.peer === peer))
          .flatMap(({ cases }) => cases).length,
    );
    return `| ${[what, ...counts].join(" | ")} |`;
  };
  expect(document).toContain(rowOf("the RFC permits both", (kind) => kind === "both permitted"));
  expect(document).toContain(rowOf("a limit that the RFC leaves to each server", (kind) => kind === "limit"));
  expect(document).toContain(
    rowOf("the other server departs from the RFC", (kind) => kind === "peer deviates"),
  );
  expect(document).toContain(rowOf("we depart from it on purpose", (kind) => kind === "we deviate"));
  expect(document).toContain(rowOf("all", () => true));
});

test.each(peers)(
  "our HTTP/2 server differs from %s only where test/peers/differences.yaml says why",
  async (name) => {
    const peer = await startPeer(name);
    onTestFinished(async () => {
      await peer.close();
    });
    const found = differences(ours, await outcomesAt(peer.port));
    const accepted = acceptedFrom(name);
    const missing = (lines: readonly string[], from: readonly string[]) =>
      lines.filter((line) => !from.includes(line));
    expect.soft(missing(found, accepted), "new differences").toEqual([]);
    expect.soft(missing(accepted, found), "listed differences that no longer occur").toEqual([]);
    expect(accepted.length, "differences that are listed twice").toBe(new Set(accepted).size);
  },
  BUILD_MS,
);
