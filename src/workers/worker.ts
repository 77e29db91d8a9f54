import type { WorkerListeners, WorkerQuery, WorkerReport } from "./channel.ts";
import { workerCommand } from "./channel.ts";

/** A worker's connection to its supervisor. */
export interface SupervisorConnection {
  /** The worker's number, from 1. */
  readonly index: number;
  /** Calls the listener each time the supervisor stops the worker. */
  onEnd(listener: () => void): void;
  /** Calls the listener each time the supervisor requests a reload of the files. */
  onReload(listener: () => void): void;
  /** Sets how queries of this kind are answered. */
  answer(query: WorkerQuery, respond: () => string | Promise<string>): void;
  ready(listeners: WorkerListeners): void;
  /** From now on the connection does not keep the process alive. */
  release(): void;
}

/** Connects a process to the supervisor that started it. */
export function joinSupervisor(index: number): SupervisorConnection {
  const endListeners: (() => void)[] = [];
  const reloadListeners: (() => void)[] = [];
  const responders = new Map<WorkerQuery, () => string | Promise<string>>([["heartbeat", () => ""]]);
  const send = (report: WorkerReport) => void process.send?.(report);
  process.on("message", (message) => {
    const command = workerCommand.safeParse(message);
    if (!command.success) return;
    if (command.data.kind !== "query") {
      for (const listener of command.data.kind === "end" ? endListeners : reloadListeners) listener();
      return;
    }
    const { id, query } = command.data;
    void Promise.resolve(responders.get(query)?.()).then(
      (text) => text !== undefined && send({ kind: "response", id, text }),
      () => undefined, // The supervisor's deadline handles a missing response.
    );
  });
  return {
    index,
    onEnd: (listener) => void endListeners.push(listener),
    onReload: (listener) => void reloadListeners.push(listener),
    answer: (query, respond) => void responders.set(query, respond),
    ready: (listeners) => send({ kind: "ready", listeners }),
    release: () => process.channel?.unref(),
  };
}
