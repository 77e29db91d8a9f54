import type { LatchkeyClient } from "../../src/client/client.ts";
import { LatchkeyProblem } from "../../src/client/problem.ts";
import type { Instance } from "./fleet.ts";
import type { History } from "./operations.ts";
import type { RegisterOperation } from "./register.ts";
import { isLinearizable } from "./register.ts";
import { until } from "./stores/store.ts";

/** A key, and what was done with its name. */
export interface NamedKey {
  readonly keyId: string;
  readonly firstName: string;
  readonly operations: RegisterOperation[];
}

/** A search over many operations would take long, and show little more. */
const MAX_OPERATIONS = 14;
const MAX_KEYS = 60;

/** Changes or reads the name of a key. Other clients may do so at the same time. */
export async function useName(history: History, { client, name: at }: Instance): Promise<void> {
  const { random, names, note } = history;
  const open = names.filter(({ operations }) => operations.length < MAX_OPERATIONS);
  if (open.length === 0) return;
  const { keyId, operations } = random.pick(open.slice(-3));
  const sentMs = performance.now();
  const faults = history.storeFaults;
  if (random.below(2) === 0) {
    const value = `name ${operations.length} of ${sentMs}`;
    const write = { kind: "write" as const, value, sentMs, ackedMs: Number.POSITIVE_INFINITY };
    operations.push(write);
    await client.keys.change(keyId, { name: value }).then(
      () => {
        write.ackedMs = performance.now();
      },
      (error: unknown) => note(`${keyId} may be called ${value}: ${error}`),
    );
    return;
  }
  const value = await client.keys.show(keyId).then(
    (key) => key.name,
    () => undefined,
  );
  const ackedMs = performance.now();
  // An instance may read a primary that has been replaced meanwhile. Once all is whole again, the last reads decide.
  const isSteady = history.splitMs === 0 && faults % 2 === 0 && faults === history.storeFaults;
  if (value !== undefined && isSteady) operations.push({ kind: "read", value, sentMs, ackedMs });
  note(`${keyId} is called ${value} at ${at}`);
}

/** Registers a key whose name is used from now on. */
export async function registerNamed({ names }: History, { client }: Instance): Promise<void> {
  if (names.length >= MAX_KEYS) return;
  const issued = await client.register({ name: "first", key_type: "basic" }).catch(() => undefined);
  if (issued !== undefined) names.push({ keyId: issued.key_id, firstName: "first", operations: [] });
}

/** Reads each name at an instance, and returns the keys whose operations have no order that explains them. */
export async function judgeNames({ names }: History, { client, name: at }: Instance): Promise<string[]> {
  const violations: string[] = [];
  for (const { keyId, firstName, operations } of names) {
    const sentMs = performance.now();
    const value = await nameOf(client, keyId);
    if (value === undefined) {
      violations.push(`${keyId} was registered, and is unknown at ${at}`);
      continue;
    }
    operations.push({ kind: "read", value, sentMs, ackedMs: performance.now() });
    if (!isLinearizable(firstName, operations))
      violations.push(`${keyId} has no order of ${JSON.stringify(operations)}`);
  }
  return violations;
}

/** Undefined without a record. On a busy machine a command may time out; the call is then repeated. */
async function nameOf(client: LatchkeyClient, keyId: string): Promise<string | undefined> {
  let name: string | undefined;
  await until(async () => {
    name = await client.keys.show(keyId).then(
      (key) => key.name,
      (error: unknown) => {
        if (error instanceof LatchkeyProblem && error.status === 404) return undefined;
        throw error;
      },
    );
    return true;
  });
  return name;
}
