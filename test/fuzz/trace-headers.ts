import fc from "fast-check";
import type { Field, Text } from "./conversation.ts";
import { plain } from "./conversation.ts";
import { longText, mostly, values } from "./texts.ts";

export const field = (name: string, value: fc.Arbitrary<Text>): fc.Arbitrary<Field> =>
  value.map((text): Field => [plain(name), text]);

export const pick = (...texts: readonly string[]) => fc.constantFrom(...texts).map(plain);

/** Mostly valid, so that Envoy copies what is beside it, and sometimes invalid. */
export const orOdd = (sound: fc.Arbitrary<Text>, maxBytes: number) => mostly(3, sound, values(maxBytes));

const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const traceparents = pick(
  TRACEPARENT,
  TRACEPARENT,
  TRACEPARENT.replace(/01$/, "00"),
  TRACEPARENT.replace(/^00/, "cc"),
  `${TRACEPARENT}-more`,
  TRACEPARENT.toUpperCase(),
  `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
);
const tracestates = pick("vendor=1", "dd=s:2;o:rum;t.usr.id:abc,other=1", "49d0b4cb-1@dt=fw4;0;0;0;0;0;0;e");
const TRACE_ID = "80f198ee56343ba864fe8b2a57d3eff7";
const SW8 = "1-MQ==-Mg==-3-c2VydmljZQ==-aW5zdGFuY2U=-L2FwaQ==-aG9zdDo4MA==";
const OTHER_NAMES =
  "baggage x-cloud-trace-context x-amzn-trace-id x-ot-span-context grpc-trace-bin uber-trace-id x-client-trace-id";

/** A trace context in the formats of our listeners' tracers. */
export function traceFields(maxBytes: number): fc.Arbitrary<readonly Field[]> {
  const loose = mostly(3, values(maxBytes), longText(maxBytes));
  const sound = (name: string, ...texts: readonly string[]) => field(name, orOdd(pick(...texts), maxBytes));
  const w3c = fc.tuple(
    field("traceparent", orOdd(traceparents, maxBytes)),
    field("tracestate", fc.oneof(tracestates, loose, loose)),
  );
  const b3 = fc.tuple(
    sound("x-b3-traceid", TRACE_ID, TRACE_ID.slice(16)),
    sound("x-b3-spanid", "e457b5a2e4d86bd1"),
    field("x-b3-parentspanid", loose),
    sound("x-b3-sampled", "0", "1", "true", "d"),
    sound("x-b3-flags", "1"),
  );
  const b3Single = fc.tuple(sound("b3", `${TRACE_ID}-e457b5a2e4d86bd1-1`, "0", "d"));
  const datadog = fc.tuple(
    sound("x-datadog-trace-id", "123", "18446744073709551615", "18446744073709551616"),
    sound("x-datadog-parent-id", "456", "0"),
    sound("x-datadog-sampling-priority", "2", "-1", "0"),
    field("x-datadog-origin", loose),
    sound("x-datadog-tags", "_dd.p.dm=-4,_dd.p.tid=640cfd8d00000000", `_dd.p.x=${"y".repeat(500)}`),
  );
  const skyWalking = fc.tuple(
    sound("sw8", SW8, SW8.replace("L2FwaQ==", "/w=="), `${SW8}-more`),
    field("sw8-x", loose),
    field("sw8-correlation", loose),
  );
  const others = fc.tuple(fc.constantFrom(...OTHER_NAMES.split(" ")).chain((name) => field(name, loose)));
  const groups: fc.Arbitrary<readonly Field[]>[] = [w3c, w3c, b3, b3Single, datadog, skyWalking, others];
  return fc.array(fc.oneof(...groups), { maxLength: 3 }).map((all) => all.flat());
}
