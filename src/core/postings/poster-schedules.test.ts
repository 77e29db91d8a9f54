import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Fault } from "../../../test/support/posting-store.ts";
import { createPostingStore, KEEP_MS, post, posterOf } from "../../../test/support/posting-store.ts";

describe("for every schedule of faults", () => {
  const SUBJECTS = ["a", "b", "c"];
  const of = fc.nat({ max: 1 });
  const add = fc.record({
    kind: fc.constant("add"),
    of,
    subject: fc.constantFrom(...SUBJECTS),
    window: fc.nat({ max: 5 }),
    amount: fc.integer({ min: 1, max: 9 }),
  });
  const faults: readonly Fault[] = ["none", "none", "request", "reply", "late"];
  const posting = fc.record({ kind: fc.constant("post"), of, fault: fc.constantFrom(...faults) });
  const late = fc.record({ kind: fc.constant("late") });
  const crash = fc.record({ kind: fc.constant("crash"), of });
  const replicate = fc.record({ kind: fc.constant("replicate") });
  const failover = fc.record({ kind: fc.constant("failover"), announced: fc.boolean() });
  const notice = fc.record({ kind: fc.constant("notice") });
  const calm = [add, add, add, posting, posting, posting, late] as const;

  type Totals = Map<string, number>;
  const sum = (into: Totals, subject: string, amount: number) =>
    into.set(subject, (into.get(subject) ?? 0) + amount);

  /** Two instances, and what was added at them. */
  function twoInstances(during: "announced" | "unannounced" = "announced") {
    const store = createPostingStore();
    let started = 0;
    const start = () => ({
      poster: posterOf(store, `i${started++}`, { keepMs: KEEP_MS }),
      added: new Map<string, number>(),
    });
    const instances = [start(), start()];
    const crashed: Totals = new Map();
    let replica = store.snapshot();
    const failOver = (announced: boolean) => {
      store.restore(replica);
      if (announced) for (const { poster } of instances) poster.replay();
    };
    store.onFailover(() => failOver(during === "announced"));
    const at = (index: number) => instances[index] ?? expect.unreachable();
    const run = async (one: Step): Promise<void> => {
      if (one.kind === "add" && "subject" in one) {
        at(one.of).poster.add(one.subject, one.window, one.amount);
        sum(at(one.of).added, one.subject, one.amount);
      } else if ("fault" in one) {
        store.fail(one.fault);
        await post(at(one.of).poster);
        store.fail("none");
      } else if ("announced" in one) failOver(one.announced);
      else if ("of" in one) {
        for (const [subject, amount] of at(one.of).added) sum(crashed, subject, amount);
        instances[one.of] = start();
      } else if (one.kind === "late") store.deliverLate();
      else if (one.kind === "notice") store.nameOther();
      else replica = store.snapshot();
    };
    const finish = async () => {
      store.deliverLate();
      for (const { poster } of instances) await post(poster);
      for (const { poster } of instances) expect(poster.waiting()).toBe(0);
      const living: Totals = new Map();
      for (const { added } of instances) for (const [subject, amount] of added) sum(living, subject, amount);
      return { store, living, crashed };
    };
    const replay = () => instances.map(({ poster }) => poster.replay());
    return { run, finish, replay, notice: store.nameOther };
  }
  const anyStep = fc.oneof(...calm, crash, replicate, failover, notice);
  type Step = typeof anyStep extends fc.Arbitrary<infer T> ? T : never;

  test("each amount of a living instance counts exactly once, and one of a crashed instance at most once", async () => {
    const steps = fc.array(fc.oneof(...calm, crash), { maxLength: 60, size: "max" });
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const { run, finish } = twoInstances();
        for (const one of list) await run(one);
        const { store, living, crashed } = await finish();
        for (const subject of SUBJECTS) {
          const least = living.get(subject) ?? 0;
          expect(store.counted(subject)).toBeGreaterThanOrEqual(least);
          expect(store.counted(subject)).toBeLessThanOrEqual(least + (crashed.get(subject) ?? 0));
        }
      }),
      { numRuns: 500 },
    );
  });

  test("a primary that lacks recent writes gets them again, and nothing twice", async () => {
    const during = fc.record({ kind: fc.constant("post"), of, fault: fc.constant<Fault>("failover") });
    const steps = fc.array(fc.oneof(...calm, replicate, failover, during), { maxLength: 60, size: "max" });
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const { run, finish, replay } = twoInstances();
        for (const one of list) await run(one);
        replay();
        const { store, living } = await finish();
        for (const subject of SUBJECTS) expect(store.counted(subject)).toBe(living.get(subject) ?? 0);
      }),
      { numRuns: 500 },
    );
  });

  test("so does one that only the name of its history shows, whenever that is noticed", async () => {
    const during = fc.record({ kind: fc.constant("post"), of, fault: fc.constant<Fault>("failover") });
    const unannounced = fc.record({ kind: fc.constant("failover"), announced: fc.constant(false) });
    const steps = fc.array(fc.oneof(...calm, replicate, unannounced, notice, during), {
      maxLength: 60,
      size: "max",
    });
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const { run, finish, notice: noticeAtLast } = twoInstances("unannounced");
        for (const one of list) await run(one);
        noticeAtLast();
        const { store, living } = await finish();
        for (const subject of SUBJECTS) expect(store.counted(subject)).toBe(living.get(subject) ?? 0);
      }),
      { numRuns: 500 },
    );
  });
});
