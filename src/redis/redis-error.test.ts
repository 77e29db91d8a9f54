import { expect, test } from "vitest";
import { isNotThePrimary, toRedisUnavailable } from "./redis-error.ts";

/** As ioredis reports an error reply. */
function replyError(message: string): Error {
  const error = new Error(message);
  error.name = "ReplyError";
  return error;
}

test.each([
  [
    "READONLY",
    "ERR Error running script (call to f_89): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica. ",
  ],
  [
    "NOREPLICAS",
    "ERR Error running script (call to f_89): @user_script:1: @user_script: 1: -NOREPLICAS Not enough good replicas to write. ",
  ],
  ["READONLY", "READONLY You can't write against a read only replica. script: 89, on @user_script:1."],
])(
  "%s in a script means another primary, in the form of Redis 6.2 and of later versions",
  (code, message) => {
    const fault = toRedisUnavailable(replyError(message));
    expect([fault.code, fault.rejectedSetting, isNotThePrimary(fault)]).toEqual([code, undefined, true]);
  },
);

test("a fault of the script itself keeps its code", () => {
  const text =
    "ERR Error running script (call to f_89): @user_script:3: user_script:3: attempt to index a nil value";
  expect(toRedisUnavailable(replyError(text))).toMatchObject({ code: "ERR" });
});
