/** HealthCheckResponse.ServingStatus. */
export const SERVING_STATUS = { SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } as const;
export type ServingStatus = (typeof SERVING_STATUS)[keyof typeof SERVING_STATUS];

/** The state of the standard gRPC health service, for both of its methods. */
export interface Health {
  current(service: string): ServingStatus;
  /** Notifies the watcher of the status now and after each change. Returns a function that ends the watch. */
  watch(service: string, watcher: HealthWatcher): () => void;
  setServing(serving: boolean): void;
  /** Ends every watch, also one that starts later: an open one would delay the shutdown of the server. */
  close(): void;
}

export interface HealthWatcher {
  onStatus(status: ServingStatus): void;
  onEnd(): void;
}

/**
 * The status is NOT_SERVING at first.
 * @param services names of the services with a status; the empty name, which stands for the whole server, is known as well
 */
export function createHealth(services: readonly string[]): Health {
  const known = new Set(["", ...services]);
  const watches = new Set<{ readonly service: string; readonly watcher: HealthWatcher }>();
  let isServing = false;
  let isClosed = false;
  const current = (service: string): ServingStatus => {
    if (!known.has(service)) return SERVING_STATUS.SERVICE_UNKNOWN;
    return isServing ? SERVING_STATUS.SERVING : SERVING_STATUS.NOT_SERVING;
  };
  return {
    current,
    watch(service, watcher) {
      const watch = { service, watcher };
      watches.add(watch);
      watcher.onStatus(current(service));
      if (isClosed) watcher.onEnd();
      return () => void watches.delete(watch);
    },
    setServing(serving) {
      if (serving === isServing) return;
      isServing = serving;
      for (const { service, watcher } of watches) watcher.onStatus(current(service));
    },
    close() {
      isClosed = true;
      for (const { watcher } of watches) watcher.onEnd();
      watches.clear();
    },
  };
}
