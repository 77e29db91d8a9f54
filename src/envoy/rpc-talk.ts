import type { ServerHttp2Stream } from "node:http2";
import { FRAME_HEAD_BYTES, framed } from "./rpc-frame.ts";
import type { RpcRefusal } from "./rpc-status.ts";
import { RPC_STATUS } from "./rpc-status.ts";
import { beginAnswers, refuse } from "./rpc-stream.ts";

/** A question is a name; nothing longer is waited for. */
const MAX_QUESTION_BYTES = 4096;

const NO_QUESTION: RpcRefusal = { status: RPC_STATUS.INTERNAL, message: "the message does not decode" };

/** A call of questions and answers, as many as its caller likes: none is answered before the last answer is taken. */
export function talk(stream: ServerHttp2Stream, answer: (question: Buffer) => Uint8Array): void {
  let held: Buffer = Buffer.alloc(0);
  let begun = false;
  let asked = false;
  const goOn = () => {
    while (held.length >= FRAME_HEAD_BYTES && !stream.writableNeedDrain) {
      const end = FRAME_HEAD_BYTES + held.readUInt32BE(1);
      const known = held[0] === 0 && end <= FRAME_HEAD_BYTES + MAX_QUESTION_BYTES;
      if (known && held.length < end) break;
      const said = known ? answered(answer, held.subarray(FRAME_HEAD_BYTES, end)) : undefined;
      if (said === undefined) {
        if (!begun) refuse(stream, NO_QUESTION);
        // Its caller may go on asking: that is not waited for.
        stream.close();
        return;
      }
      held = held.subarray(end);
      begun ||= beginAnswers(stream);
      if (begun) stream.write(framed(said));
    }
    if (stream.writableNeedDrain) stream.pause();
    else if (!asked) stream.resume();
    else if (begun || beginAnswers(stream)) stream.end();
  };
  stream.on("data", (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    goOn();
  });
  stream.on("drain", goOn);
  stream.on("end", () => {
    asked = true;
    goOn();
  });
}

function answered(answer: (question: Buffer) => Uint8Array, question: Buffer): Uint8Array | undefined {
  try {
    return answer(question);
  } catch {
    return undefined; // Only bytes that are no question throw.
  }
}
