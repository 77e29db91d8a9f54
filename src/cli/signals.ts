/** The signals that stop the process. */
export interface Signals {
  /** Resolves with the name of the first signal, which starts a graceful shutdown. */
  readonly first: Promise<string>;
  /** Resolves on the second signal, which stops the process immediately. */
  readonly second: Promise<void>;
  release(): void;
}

const NAMES = ["SIGTERM", "SIGINT"] as const;

/** Catches the signals that are sent to this process. */
export function catchSignals(): Signals {
  const { onSignal, signals } = countSignals();
  return listenTo(onSignal, signals);
}

/**
 * Catches the stop commands of the supervisor, for a worker. Ctrl-C and systemd also signal the whole process group. Such
 * a signal starts the shutdown, but it never counts as the second one.
 */
export function supervisorSignals(onEnd: (listener: () => void) => void): Signals {
  const { onSignal, signals } = countSignals();
  onEnd(() => onSignal("the supervisor's command"));
  let direct = false;
  return listenTo((name) => {
    if (direct) return;
    direct = true;
    signals.begin(name);
  }, signals);
}

function countSignals() {
  const first = Promise.withResolvers<string>();
  const second = Promise.withResolvers<void>();
  let counted = 0;
  return {
    onSignal(name: string) {
      counted++;
      if (counted === 1) first.resolve(name);
      else second.resolve();
    },
    signals: { first: first.promise, second: second.promise, begin: first.resolve },
  };
}

function listenTo(
  onSignal: (name: string) => void,
  { first, second }: Pick<Signals, "first" | "second">,
): Signals {
  for (const name of NAMES) process.on(name, onSignal);
  return {
    first,
    second,
    release() {
      for (const name of NAMES) process.off(name, onSignal);
    },
  };
}

/** Waits without keeping the process alive. */
export function waitSeconds(seconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, seconds * 1000).unref();
  });
}
