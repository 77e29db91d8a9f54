/** What the health service says: HealthCheckResponse.ServingStatus. */
export const SERVING_STATUS = { SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } as const;
export type ServingStatus = (typeof SERVING_STATUS)[keyof typeof SERVING_STATUS];

/** Services that the health service answers for; the empty name is the server as a whole. */
const SERVICES = ["", "envoy.service.auth.v3.Authorization"];

/** What the standard gRPC health service knows, however it is asked. */
export interface Health {
  current(service: string): ServingStatus;
  /** Tells the status now and after each change. Gives what ends that. */
  watch(service: string, watcher: HealthWatcher): () => void;
  setServing(serving: boolean): void;
  /** Ends every watch, also one that begins after this: an open one would hold the server's shutdown up. */
  close(): void;
}

export interface HealthWatcher {
  onStatus(status: ServingStatus): void;
  end(): void;
}

/** It says NOT_SERVING until it is told otherwise. */
export function createHealth(): Health {
  const watches = new Set<{ readonly service: string; readonly watcher: HealthWatcher }>();
  let serving = false;
  let closed = false;
  const current = (service: string): ServingStatus => {
    if (!SERVICES.includes(service)) return SERVING_STATUS.SERVICE_UNKNOWN;
    return serving ? SERVING_STATUS.SERVING : SERVING_STATUS.NOT_SERVING;
  };
  return {
    current,
    watch(service, watcher) {
      const watch = { service, watcher };
      watches.add(watch);
      watcher.onStatus(current(service));
      if (closed) watcher.end();
      return () => void watches.delete(watch);
    },
    setServing(value) {
      if (value === serving) return;
      serving = value;
      for (const { service, watcher } of watches) watcher.onStatus(current(service));
    },
    close() {
      closed = true;
      for (const { watcher } of watches) watcher.end();
      watches.clear();
    },
  };
}
