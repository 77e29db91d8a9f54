import type { WorkerListeners, WorkerQuery, WorkerReport } from "./channel.ts";
import { order } from "./channel.ts";

/** A worker's side of what it and its supervisor say to each other. */
export interface WorkerSide {
  /** From 1. */
  readonly index: number;
  /** Hears each time that the supervisor wants it to end. */
  onEnd(listener: () => void): void;
  /** Calls the listener each time that the supervisor wants files to be reloaded. */
  onReload(listener: () => void): void;
  /** From now on this is what it answers. */
  answer(what: WorkerQuery, give: () => string | Promise<string>): void;
  ready(doors: WorkerListeners): void;
  /** From now on nothing but its own work keeps the process. */
  release(): void;
}

/** For a process that a supervisor has started. */
export function joinSupervisor(index: number): WorkerSide {
  const endings: (() => void)[] = [];
  const reloads: (() => void)[] = [];
  const answers = new Map<WorkerQuery, () => string | Promise<string>>([["heartbeat", () => ""]]);
  const say = (report: WorkerReport) => void process.send?.(report);
  process.on("message", (message) => {
    const heard = order.safeParse(message);
    if (!heard.success) return;
    if (heard.data.kind !== "ask") {
      for (const listener of heard.data.kind === "end" ? endings : reloads) listener();
      return;
    }
    const { id, what } = heard.data;
    void Promise.resolve(answers.get(what)?.()).then(
      (text) => text !== undefined && say({ kind: "answer", id, text }),
      () => undefined, // Who does not answer counts as one who cannot.
    );
  });
  return {
    index,
    onEnd: (listener) => void endings.push(listener),
    onReload: (listener) => void reloads.push(listener),
    answer: (what, give) => void answers.set(what, give),
    ready: (doors) => say({ kind: "ready", doors }),
    release: () => process.channel?.unref(),
  };
}
