import { expect, test } from "vitest";
import { readServerState } from "./server-state.ts";

test.each([
  ["redis_mode", "sentinel", "this is a Sentinel"],
  ["server_mode", "sentinel", "this is a Sentinel"],
  ["redis_mode", "cluster", "belongs to a Cluster"],
  ["server_mode", "cluster", "belongs to a Cluster"],
])("%s:%s is rejected, as Redis and Valkey name it", (field, mode, problem) => {
  const read = () => readServerState(`${field}:${mode}\r\nrole:master\r\n`, "single");
  expect(read).toThrow(expect.objectContaining({ rejectedSetting: expect.stringContaining(problem) }));
});

test("a data node that is itself a Sentinel is rejected behind Sentinels too", () => {
  expect(() => readServerState("redis_mode:sentinel", "sentinel")).toThrow("runs as a sentinel");
  expect(readServerState("redis_mode:cluster\r\nrole:master", "cluster")).toMatchObject({ offset: 0 });
});

test("the offset that a replica has acknowledged counts if the replica is online", () => {
  const info = [
    "role:master",
    "master_repl_offset:300",
    "slave0:ip=127.0.0.1,port=1,state=wait_bgsave,offset=290,lag=0",
    "slave1:ip=127.0.0.1,port=2,state=online,offset=200,lag=1",
    "slave2:ip=127.0.0.1,port=3,state=online,offset=250,lag=1,type=replica",
  ];
  expect(readServerState(info.join("\r\n"), "single")).toMatchObject({ offset: 300, replicaOffset: 250 });
  expect(readServerState("role:master\r\nmaster_repl_offset:300", "single")).toMatchObject({
    replicaOffset: -1,
  });
});
