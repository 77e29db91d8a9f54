import type { ServerHttp2Stream } from "node:http2";
import { FRAME_HEAD_BYTES, framed } from "./rpc-frame.ts";
import type { RpcRefusal } from "./rpc-status.ts";
import { RPC_STATUS } from "./rpc-status.ts";
import { beginAnswers, refuse } from "./rpc-stream.ts";

/** A question is a name; nothing longer is waited for. */
const MAX_QUESTION_BYTES = 4096;

const NO_QUESTION: RpcRefusal = { status: RPC_STATUS.INTERNAL, message: "the message does not decode" };

/** A call of questions and answers, as many as its caller likes: each question is answered before the next is read. */
export function talk(stream: ServerHttp2Stream, answer: (question: Buffer) => Uint8Array): void {
  let held = Buffer.alloc(0);
  let begun = false;
  const fail = () => {
    if (!begun) refuse(stream, NO_QUESTION);
    // Its caller may go on asking: that is not waited for.
    stream.close();
  };
  stream.on("data", (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    while (held.length >= FRAME_HEAD_BYTES) {
      const length = held.readUInt32BE(1);
      if (held[0] !== 0 || length > MAX_QUESTION_BYTES) return fail();
      const end = FRAME_HEAD_BYTES + length;
      if (held.length < end) return;
      const said = answered(answer, held.subarray(FRAME_HEAD_BYTES, end));
      if (said === undefined) return fail();
      held = held.subarray(end);
      begun ||= beginAnswers(stream);
      if (begun) stream.write(framed(said));
    }
  });
  stream.on("end", () => {
    begun ||= beginAnswers(stream);
    if (begun) stream.end();
  });
}

function answered(answer: (question: Buffer) => Uint8Array, question: Buffer): Uint8Array | undefined {
  try {
    return answer(question);
  } catch {
    return undefined; // Only bytes that are no question throw.
  }
}
