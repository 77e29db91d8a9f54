import fc from "fast-check";
import { expect, test } from "vitest";
import { createClientFrames } from "./client-frames.ts";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

function frame(type: number, flags: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.set([type, flags], 3);
  return Buffer.concat([head, payload]);
}

const RST_STREAM = 3;
const PING = 6;
const pingAck = fc.uint8Array({ minLength: 8, maxLength: 8 }).map((payload) => frame(PING, 1, payload));
const other = fc
  .tuple(fc.nat(9), fc.nat(255), fc.uint8Array({ maxLength: 30 }))
  .filter(([type, flags]) => type !== PING || flags % 2 === 0)
  .map(([type, flags, payload]) => frame(type, flags, payload));

test("exactly the acknowledgements of PINGs are removed, and each reset is counted, however the bytes are cut", () => {
  const frames = fc.array(
    fc.oneof(
      pingAck.map((bytes) => ({ bytes, stays: false })),
      other.map((bytes) => ({ bytes, stays: true })),
    ),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (all, cuts) => {
      const bytes = Buffer.concat([PREFACE, ...all.map((each) => each.bytes)]);
      let resets = 0;
      const filter = createClientFrames(() => {
        resets++;
      });
      const passed: Buffer[] = [];
      for (let at = 0, cut = 0; at < bytes.length; cut++) {
        const end = at + (cuts[cut % cuts.length] ?? 1);
        passed.push(filter(bytes.subarray(at, end)));
        at = end;
      }
      const stays = all.filter((each) => each.stays).map((each) => each.bytes);
      expect(resets).toBe(all.filter((each) => each.bytes[3] === RST_STREAM).length);
      expect(Buffer.concat(passed)).toEqual(Buffer.concat([PREFACE, ...stays]));
    }),
  );
});
