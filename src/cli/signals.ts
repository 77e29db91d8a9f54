/** When to end. */
export interface Signals {
  /** The first one begins the end. */
  readonly first: Promise<string>;
  /** The second one ends at once. */
  readonly second: Promise<void>;
  release(): void;
}

const NAMES = ["SIGTERM", "SIGINT"] as const;

/** What somebody sends to this process. */
export function catchSignals(): Signals {
  const { onSignal, signals } = countSignals();
  return listenTo(onSignal, signals);
}

/**
 * For a worker the supervisor's word counts. A signal to the whole group, as Ctrl-C and systemd send it, comes beside
 * that word: it begins the end, and never is the second one.
 */
export function supervisorSignals(onEnd: (listener: () => void) => void): Signals {
  const { onSignal, signals } = countSignals();
  onEnd(() => onSignal("the supervisor's word"));
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

/** Without keeping the process for it. */
export function waitSeconds(seconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, seconds * 1000).unref();
  });
}
