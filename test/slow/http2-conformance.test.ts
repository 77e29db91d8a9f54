import { mkdtemp, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { goProgram } from "../../scripts/checkers.ts";
import { startChild } from "../../scripts/child.ts";
import { startGrpcServer } from "../../src/grpc/server.ts";
import { createConnections } from "../../src/http2/connections.ts";
import { headerBlock } from "../../src/http2/header-encoder.ts";
import type { Stream } from "../../src/http2/stream.ts";
import { sendData, sendHead, sendTrailers } from "../../src/http2/stream.ts";
import { removeAtEnd } from "../support/at-end.ts";

interface Report {
  readonly cases: number;
  readonly failed: readonly string[];
  /** For want of what they need: bytes in an answer. */
  readonly skipped: readonly string[];
}

/** What h2spec finds of every case that it knows: RFC 7540, which was before RFC 9113, and RFC 7541. */
async function h2spec(port: number): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-h2spec-"));
  removeAtEnd(folder);
  const report = join(folder, "report.xml");
  const args = ["--strict", "--port", String(port), "--timeout", "1", "--junit-report", report];
  const child = await startChild(await goProgram("h2spec"), args, { env: {} });
  await child.exited;
  const all = [
    ...(await readFile(report, "utf8")).matchAll(
      /<testcase package="(.*?)" classname="(.*?)"(.*?)<\/testcase>/gs,
    ),
  ];
  const those = (tag: string) =>
    all.flatMap(([, section, what, found = ""]) => (found.includes(tag) ? [`${section}: ${what}`] : []));
  return {
    cases: all.length,
    failed: [...those("<error"), ...those("<failure")],
    skipped: those("<skipped"),
  };
}

/** RFC 7540's priorities are done with (RFC 9113 §5.3): nobody heeds them. */
const PRIORITIES = [
  "http2/5.3.1: Sends HEADERS frame that depend on itself",
  "http2/5.3.1: Sends PRIORITY frame that depend on itself",
];

/** They look at the DATA of an answer, and h2spec's GET gets none at a door of gRPC. */
const WITHOUT_DATA = [
  "http2/6.5.3: Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE",
  "http2/6.9.1: Sends SETTINGS frame to set the initial window size to 1 and sends HEADERS frame",
  "http2/6.9.2: Changes SETTINGS_INITIAL_WINDOW_SIZE after sending HEADERS frame",
  "http2/6.9.2: Sends a SETTINGS frame for window size to be negative",
];

test("h2spec finds nothing at the door but that nobody heeds priorities, and that a GET gets no DATA", async () => {
  const faults: unknown[] = [];
  const check = () => Buffer.alloc(0);
  const door = await startGrpcServer({
    listen: "127.0.0.1:0",
    check,
    faulted: (error) => faults.push(error),
  });
  onTestFinished(() => door.close(0));
  const { cases, failed, skipped } = await h2spec(Number(door.address.split(":").at(-1)));
  expect(failed).toEqual([
    // They look for DATA as well.
    "generic/2: Sends a WINDOW_UPDATE frame on half-closed (remote) stream",
    "generic/2: Sends a PRIORITY frame on half-closed (remote) stream",
    // Its calls are answered at once, and are over: there are never as many as it means to have.
    "http2/5.1.2: Sends HEADERS frames that causes their advertised concurrent stream limit to be exceeded",
    ...PRIORITIES,
  ]);
  expect(skipped).toEqual(WITHOUT_DATA);
  expect(cases).toBe(146);
  expect(faults).toEqual([]);
});

test("h2spec finds nothing but that nobody heeds priorities where our HTTP/2 answers a GET by DATA", async () => {
  const { port, faults } = await answering();
  expect(await h2spec(port)).toEqual({ cases: 146, failed: PRIORITIES, skipped: [] });
  expect(faults).toEqual([]);
});

const HEAD = headerBlock([[":status", "200"]]);
const BODY = Buffer.from("an answer");

function answer(stream: Stream): void {
  sendHead(stream, HEAD, false);
  sendData(stream, BODY);
  sendTrailers(stream, headerBlock([]));
}

/** The same HTTP/2 without gRPC: each call is answered when it has come whole. */
async function answering(): Promise<{ readonly port: number; readonly faults: readonly unknown[] }> {
  const faults: unknown[] = [];
  const connections = createConnections({
    answersFault: () => false,
    maxHeaderBytes: 256 * 1024,
    nowMs: () => performance.now(),
    onRequest(stream) {
      stream.receive = (_stream, _piece, isLast) => {
        if (isLast) answer(stream);
      };
    },
    maxStreams: 100,
    onFault: (error) => faults.push(error),
  });
  const server = createServer({ noDelay: true }, connections.add);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    connections.end();
    connections.close();
    server.close();
  });
  const address = server.address();
  return { port: typeof address === "object" && address !== null ? address.port : 0, faults };
}
