import { encodeFrame, FLAG, FRAME } from "../../src/http2/frames.ts";
import { encodeHeaderBlock } from "../../src/http2/header-encoder.ts";
import { CALL_CASES, INVALID_BLOCKS, inBlocks } from "../support/call-cases.ts";
import { FRAME_CASES, PREFACE_CASES } from "../support/frame-cases.ts";
import { LENGTH_CASES, MALFORMED_ANYWHERE, malformedHeads, VALID_HEADS } from "../support/head-cases.ts";
import { headers, lastMessage, OPENING } from "../support/http2-frames.ts";
import type { Conversation } from "./conversation.ts";

const HELLO = lastMessage(1, "hello");
const WHOLE = FLAG.END_HEADERS | FLAG.END_STREAM;

/** A server may close its connection before it has received more than this, so what its client then receives is not certain. */
const MAX_BYTES = 1024 * 1024;

/** The tables of the raw-frame tests of src/http2. */
export function rawFrameCases(): readonly Conversation[] {
  return tables().filter(({ bytes }) => bytes.length <= MAX_BYTES);
}

function tables(): readonly Conversation[] {
  const opened = (name: string, ...bytes: readonly Buffer[]): Conversation => ({
    name,
    bytes: Buffer.concat([OPENING, ...bytes]),
  });
  return [
    ...PREFACE_CASES.map(([name, bytes]) => ({ name: `§3.4: ${name}`, bytes })),
    ...FRAME_CASES.map(([name, bytes]) => opened(name, bytes)),
    ...CALL_CASES.map(([name, bytes]) => opened(name, ...bytes)),
    ...[...malformedHeads({}), ...MALFORMED_ANYWHERE].map(([name, fields]) =>
      opened(name, inBlocks(1, encodeHeaderBlock(fields), FLAG.END_STREAM)),
    ),
    ...VALID_HEADS.map(([name, fields]) => opened(name, headers(1, fields), HELLO)),
    ...LENGTH_CASES.map(([name, bytes]) => opened(`§8.1.1: ${name}`, ...bytes)),
    ...INVALID_BLOCKS.flatMap(([name, block]) => [
      opened(`RFC 7541 ${name}`, encodeFrame(FRAME.HEADERS, WHOLE, 1, block)),
      opened(`RFC 7541 ${name}, in trailers`, headers(1), encodeFrame(FRAME.HEADERS, WHOLE, 1, block)),
      opened(
        `RFC 7541 ${name}, on a closed stream`,
        headers(1),
        HELLO,
        encodeFrame(FRAME.HEADERS, WHOLE, 1, block),
      ),
    ]),
  ];
}
