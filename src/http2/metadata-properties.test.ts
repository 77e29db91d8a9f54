import fc from "fast-check";
import { expect, test } from "vitest";
import { echoDoor } from "../../test/support/echo-door.ts";
import { literal } from "../../test/support/hpack.ts";
import type { Fields } from "../../test/support/http2-frames.ts";
import { connectFrames, HEAD, inPieces, lastMessage, OPENING } from "../../test/support/http2-frames.ts";
import { headerBlock } from "./header-encoder.ts";

const door = echoDoor();

const MAX_HEADER_BYTES = 262_144;
const BLOCK = headerBlock(HEAD);
const bytesOf = (fields: Fields) =>
  fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);

/** What tracers, and `initial_metadata`, put into a Check. */
const names = fc.oneof(
  fc.constantFrom("tracestate", "traceparent", "baggage", "b3", "x-b3-traceid", "x-cloud-trace-context"),
  fc.constantFrom("x-datadog-tags", "sw8", "sw8-correlation", "x-request-id", "user-agent", "cookie"),
  fc.stringMatching(/^[a-z0-9!#$%&'*+.^_`|~-]{1,40}$/).filter((name) => !/^(te|host)$/.test(name)),
);
/** Any bytes. */
const values = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.string({ unit: fc.nat(255).map((byte) => String.fromCharCode(byte)), maxLength: 80 }),
  },
  { weight: 1, arbitrary: fc.constantFrom(" ", "\t", "a ", "a\t", " a", "a\r\nb: c", "\0", "") },
  { weight: 1, arbitrary: fc.integer({ min: 1000, max: 60_000 }).map((length) => "v".repeat(length)) },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 60_000, max: 600_000 }).map((length) => "V\t".repeat(length / 2)),
  },
);
const NOT_OURS = new Set([
  "content-type",
  "content-length",
  "grpc-timeout",
  "grpc-encoding",
  "connection",
  "upgrade",
]);
const metadata = fc.array(
  fc
    .record({ name: names, value: values, high: fc.constantFrom(0x40, 0, 0x10) })
    .filter(({ name }) => !NOT_OURS.has(name)),
  { maxLength: 12 },
);
const calls = fc.array(fc.record({ metadata, cuts: fc.array(fc.nat(), { maxLength: 8 }) }), {
  minLength: 1,
  maxLength: 6,
});

/** Frames as full as they may be, and cut at some other places, too. */
function inFrames(streamId: number, block: Buffer, cuts: readonly number[]): Buffer {
  const full = Array.from({ length: Math.floor(block.length / 16_384) }, (_, index) => 16_384 * (index + 1));
  const places = [...full, ...cuts.map((cut) => cut % block.length)].toSorted((a, b) => a - b);
  return inPieces(streamId, block, places);
}

test("whatever metadata Checks have: each is answered, or denied where it is too much, on a connection that goes on", async () => {
  await fc.assert(
    fc.asyncProperty(calls, async (said) => {
      const connection = await connectFrames(door.address());
      await connection.send(OPENING);
      const outcomes: string[] = [];
      for (const [index, { metadata, cuts }] of said.entries()) {
        const streamId = 2 * index + 1;
        const fields = metadata.map(({ name, value, high }) => literal(high, [name, value]));
        const bytes = bytesOf([...HEAD, ...metadata.map(({ name, value }): Fields[number] => [name, value])]);
        const outcome = bytes > MAX_HEADER_BYTES ? "denied" : `call ${streamId}`;
        outcomes.push(`${streamId} answered: ${outcome}`);
        await connection.send(
          inFrames(streamId, Buffer.concat([BLOCK, ...fields]), cuts),
          lastMessage(streamId, `call ${streamId}`),
        );
      }
      await connection.until(new RegExp(`^${2 * said.length - 1} `));
      connection.socket.destroy();
      const first = connection.lines.findIndex((line) => /^\d/.test(line));
      expect(connection.lines.slice(first)).toEqual(outcomes);
    }),
    { numRuns: 150 },
  );
});
