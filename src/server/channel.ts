/** Delivers one kind of event to its subscribers. Without subscribers an event is dropped. */
export interface Channel<Event> {
  subscribe(listener: (event: Event) => void | Promise<void>): void;
  /** Calls every subscriber before it returns. Resolves when all of them have finished. Throws, or rejects, with what one throws. */
  publish(event: Event): Promise<void>;
}

export function createChannel<Event>(): Channel<Event> {
  const listeners: ((event: Event) => void | Promise<void>)[] = [];
  return {
    subscribe: (listener) => void listeners.push(listener),
    publish: (event) => Promise.all(listeners.map((listener) => listener(event))).then(() => undefined),
  };
}
